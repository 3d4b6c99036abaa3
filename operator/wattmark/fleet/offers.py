"""A node's labels and resources -> the GPUs that it offers. Total: odd input never raises.

Whatever cannot be told is None, with the reason beside it; nothing is guessed. What several labels say must agree.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wattmark.api.schema import GROUP
from wattmark.fleet.gpus import GpuProduct, gpu_product, product_of_instance
from wattmark.observe import Body, quantity

MIB = 1 << 20
MOST_BYTES = 1 << 53  # what no node has: keeps odd input within what status can hold
MOST_GPUS = 1 << 12  # no node has as many
MEMORY_ANNOTATION = f"{GROUP}/gpu-memory-mib"
# A product's memory differs a little between drivers, with ECC, and from a cloud's round figure; beyond this the labels
# speak of different cards.
AGREEMENT = 0.1
NVIDIA, NVIDIA_SHARED, AMD = "nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu"
# 1g.10gb, with media extensions 1g.10gb.me (for 1g.10gb+me), without 1g.24gb-me; the suffix .shared tells of replicas.
MIG_PROFILE = r"[1-9]g\.[1-9][0-9]{0,3}gb([.-][a-z]{2,8}){0,2}"
_MIG = re.compile(rf"nvidia\.com/mig-{MIG_PROFILE}")
_SUFFIX = re.compile(rf"(-SHARED|-MIG-{MIG_PROFILE})+$")
# The size is the value, or with a number of GPUs as the value the end of the name.
_AMD_MEMORY = re.compile(r"(?:beta\.)?amd\.com/gpu\.vram(?:\.([0-9]+Gi?))?")
_SHARED = ".shared"
TABLE = "the table of products"
_GKE = "cloud.google.com/gke-"
_KARPENTER_MEMORY = "karpenter.k8s.aws/instance-gpu-memory"
_RECONFIGURED = "nvidia.com/mig.config.state"


@dataclass(frozen=True, slots=True)
class Offer:
    """GPUs of one kind on one node. `memory_bytes` is of one GPU (of one slice with MIG), None with a reason beside it.

    `shared` tells that several Pods use one GPU without a wall between their computations; of its memory each is
    offered the whole, with MPS its share, to which each process is `limited`. `driver` is the driver's major version,
    `cuda` the highest CUDA version that the driver runs. `claimed` tells that Pods get it by resource claims alone:
    `resource` is then what it would be requested as, if anything let them.
    """

    resource: str
    count: int
    product: str
    memory_bytes: int | None
    memory_from: str = field(compare=False)
    capability: tuple[int, int] | None
    shared: bool
    driver: str
    cuda: tuple[int, int] | None = None
    claimed: bool = False
    limited: bool = False

    @property
    def mig(self) -> bool:
        """Whether it is a MIG slice: every reading of a slice names the profile behind the product."""
        return "-MIG-" in self.product


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source says of a GPU's memory."""

    size: int
    origin: str


def is_gpu(resource: object) -> bool:
    """Whether an extended resource stands for GPUs or slices of them."""
    return isinstance(resource, str) and (resource in (NVIDIA, NVIDIA_SHARED, AMD) or bool(_MIG.fullmatch(resource)))


def gpu_count(value: object) -> int:
    """How many a quantity says; 0 where it says none."""
    return int(min(quantity(value) or 0, MOST_GPUS))


def offers(
    labels: Mapping[str, str], allocatable: Body, annotated: object, sliced: Sequence[Offer] = ()
) -> tuple[Offer, ...]:
    """All GPUs of a node that Pods can request.

    `annotated` is the memory in MiB that a person has stated, which settles contradictions. `sliced` is what the node's
    ResourceSlices say: of the same GPUs, where the name is the same.
    """
    found = []
    for resource in sorted(name for name in allocatable if is_gpu(name)):
        count = gpu_count(allocatable[resource])
        if count:
            read = _amd if resource == AMD else _slice if _MIG.fullmatch(resource) else _whole
            same = [offer for offer in sliced if offer.resource == resource]
            offer = _completed(read(labels, resource, count, list(_sliced(same))), same)
            found.append(_reconfigured(offer if read is _slice else _annotated(offer, annotated), labels))
    return tuple(found)


def offer_of(product: GpuProduct, count: int) -> Offer:
    """Whole GPUs of a product, as the table of products knows them."""
    resource = AMD if product.capability is None else NVIDIA
    size = product.memory_mib * MIB
    return Offer(resource, count, product.name, size, TABLE, product.capability, shared=False, driver="")


def _sliced(same: Iterable[Offer]) -> Iterator[Claim]:
    """What ResourceSlices say of the memory."""
    return (Claim(offer.memory_bytes, offer.memory_from) for offer in same if offer.memory_bytes is not None)


def _completed(offer: Offer, same: Sequence[Offer]) -> Offer:
    """What no label tells, from the node's ResourceSlices, if these speak of one kind of GPU."""
    if len(same) != 1:
        return offer
    (told,) = same
    product = told.product if offer.product in ("", "AMD") else offer.product
    return replace(
        offer,
        product=product,
        capability=offer.capability or told.capability,
        driver=offer.driver or told.driver,
        cuda=offer.cuda or told.cuda,
    )


def _whole(labels: Mapping[str, str], resource: str, count: int, sliced: list[Claim]) -> Offer:
    """GPUs as `nvidia.com/gpu`: whole ones, slices of one size (strategy `single`), or shares of one."""
    label = labels.get("nvidia.com/gpu.product", "")
    known = gpu_product(_SUFFIX.sub("", label)) or _of_cloud(labels)
    partition = labels.get(f"{_GKE}gpu-partition-size", "")
    unread = _unread(labels, "nvidia.com/gpu.memory")
    missing = f"{unread}, and the table of products does not list the GPU"
    claims = list(_megabytes(labels, "nvidia.com/gpu.memory"))
    if "-MIG-" in label:
        missing = f"{unread}, and the table of products speaks of whole GPUs"
    elif partition:
        claims, missing = [], f"label {_GKE}gpu-partition-size says slices of {partition}, and none says their memory"
    else:
        claims += [*sliced, *_claims(labels, label)]
    size, origin = agreed(claims, f"{missing}; set the annotation {MEMORY_ANNOTATION}")
    clients = max(_number(labels, "nvidia.com/gpu.replicas"), _number(labels, f"{_GKE}max-shared-clients-per-gpu"))
    size, origin = _counted(labels, "nvidia.com/gpu", count, clients, (size, origin))
    strategies = {labels.get(name, "") for name in ("nvidia.com/gpu.sharing-strategy", f"{_GKE}gpu-sharing-strategy")}
    limited = "mps" in strategies
    if limited and size is not None:
        # NVIDIA's device plugin and GKE set the limit of pinned device memory of each process to an equal share.
        size, origin = size // clients, f"{origin}, of which MPS gives each of {clients} clients its share"
    product = label or (known.name if known else "")
    return Offer(
        resource=resource,
        count=count,
        product=f"{product or 'unlabelled'}-MIG-{partition}" if partition and "-MIG-" not in label else product,
        memory_bytes=size,
        memory_from=origin,
        capability=_capability(labels) or (known.capability if known else None),
        shared=resource == NVIDIA_SHARED
        or label.endswith("-SHARED")
        or clients > 1
        or bool(strategies & {"mps", "time-slicing", "time-sharing"}),
        driver=_driver(labels),
        cuda=_cuda(labels),
        limited=limited,
    )


def _slice(labels: Mapping[str, str], resource: str, count: int, sliced: list[Claim]) -> Offer:
    """Slices of one MIG profile; a slice is a GPU of its own and cannot be pooled with another."""
    prefix = resource.removesuffix(_SHARED)
    product = labels.get(f"{prefix}.product") or labels.get("nvidia.com/gpu.product", "")
    known = gpu_product(_SUFFIX.sub("", product))
    profile = prefix.rpartition("/")[2].replace("mig", "MIG")
    clients = _number(labels, f"{prefix}.replicas")
    claims = [*_megabytes(labels, f"{prefix}.memory"), *sliced]
    size, origin = agreed(claims, _unread(labels, f"{prefix}.memory"))
    size, origin = _counted(labels, prefix, count, clients, (size, origin))
    return Offer(
        resource=resource,
        count=count,
        product=product if "-MIG-" in product else f"{product or 'unlabelled'}-{profile}",
        memory_bytes=size,
        memory_from=origin,
        capability=_capability(labels) or (known.capability if known else None),
        shared=clients > 1 or prefix != resource or product.endswith("-SHARED"),
        driver=_driver(labels),
        cuda=_cuda(labels),
    )


def _amd(labels: Mapping[str, str], resource: str, count: int, sliced: list[Claim]) -> Offer:
    """GPUs of AMD's device plugin. Its labeller writes 192G for what is 192 GiB."""
    claims = [
        claim
        for name, text in labels.items()
        if (match := _AMD_MEMORY.fullmatch(name))
        for claim in _amd_memory(match[1] or text, f"label {name}")
    ]
    claims += sliced
    by_id = gpu_product(labels.get("amd.com/gpu.device-id") or labels.get("beta.amd.com/gpu.device-id", ""))
    known = by_id or product_of_instance(labels.get("node.kubernetes.io/instance-type", ""))
    partition = labels.get("amd.com/compute-memory-partition", "spx")
    if known is not None and partition.startswith("spx"):
        claims.append(Claim(known.memory_mib * MIB, TABLE if by_id else f"{TABLE}, by the cloud's label"))
    size, origin = agreed(
        claims,
        f"{_unread(labels, 'amd.com/gpu.vram')}, and the table of products does not list the GPU; "
        f"set the annotation {MEMORY_ANNOTATION}",
    )
    product = labels.get("amd.com/gpu.product-name") or labels.get("beta.amd.com/gpu.product-name", "")
    name = product or (known.name if known else "AMD")
    return Offer(resource, count, name, size, origin, None, shared=False, driver="")


def _amd_memory(text: str, origin: str) -> Iterator[Claim]:
    match = re.fullmatch(r"([1-9][0-9]{0,5})(Gi?|)", text)
    if match:
        yield Claim(int(match[1]) << (30 if match[2] else 20), origin)


def _claims(labels: Mapping[str, str], label: str) -> Iterator[Claim]:
    """What says the memory of whole GPUs, beside the label of feature discovery."""
    yield from _tabled(gpu_product(_SUFFIX.sub("", label)), TABLE)
    yield from _megabytes(labels, _KARPENTER_MEMORY)
    yield from _tabled(_of_cloud(labels), f"{TABLE}, by the cloud's label")


def _of_cloud(labels: Mapping[str, str]) -> GpuProduct | None:
    """The product that the cloud's own labels name."""
    named = gpu_product(labels.get(f"{_GKE}accelerator", ""))
    return named or product_of_instance(labels.get("node.kubernetes.io/instance-type", ""))


def _tabled(known: GpuProduct | None, origin: str) -> Iterator[Claim]:
    if known is not None:
        yield Claim(known.memory_mib * MIB, origin)


def _megabytes(labels: Mapping[str, str], name: str) -> Iterator[Claim]:
    mib = _number(labels, name, otherwise=0)
    if 0 < mib < 1 << 24:
        yield Claim(mib * MIB, f"label {name}")


def _unread(labels: Mapping[str, str], name: str) -> str:
    return f"label {name} is no whole number of MiB" if name in labels else f"no label {name}"


def agreed(claims: Sequence[Claim], missing: str) -> tuple[int | None, str]:
    """The first claim, if no other contradicts it; or None with the reason."""
    if not claims:
        return None, missing
    first = claims[0]
    for other in claims[1:]:
        if abs(first.size - other.size) > AGREEMENT * other.size:
            return None, (
                f"sources contradict each other: {first.origin} says {first.size // MIB} MiB, {other.origin} "
                f"{other.size // MIB} MiB; set the annotation {MEMORY_ANNOTATION}"
            )
    return first.size, first.origin


def _counted(
    labels: Mapping[str, str], prefix: str, count: int, clients: int, told: tuple[int | None, str]
) -> tuple[int | None, str]:
    """What was told of the memory, unless the labels speak of fewer GPUs than there are: others may be different."""
    labelled = _number(labels, f"{prefix}.count", otherwise=0)
    if not 0 < labelled * clients < count:
        return told
    return None, (
        f"labels contradict the node: {prefix}.count says {labelled}, and it offers {count}, which may be of several "
        f"products or shared; set the annotation {MEMORY_ANNOTATION}"
    )


def _annotated(offer: Offer, annotated: object) -> Offer:
    if annotated is None:
        return offer
    mib = _whole_number(annotated)
    if mib is not None and 0 < mib < 1 << 24:
        return replace(offer, memory_bytes=mib * MIB, memory_from=f"annotation {MEMORY_ANNOTATION}")
    return replace(offer, memory_bytes=None, memory_from=f"annotation {MEMORY_ANNOTATION} is no whole number of MiB")


def _reconfigured(offer: Offer, labels: Mapping[str, str]) -> Offer:
    """The offer, unless the MIG manager is at work: then what labels and resources say is about to change."""
    state = labels.get(_RECONFIGURED, "")
    if state not in ("pending", "rebooting"):
        return offer
    return replace(offer, memory_bytes=None, memory_from=f"MIG is being reconfigured: label {_RECONFIGURED} is {state}")


def _capability(labels: Mapping[str, str]) -> tuple[int, int] | None:
    return _version(labels, "nvidia.com/gpu.compute")


def _driver(labels: Mapping[str, str]) -> str:
    """The driver's major version: what decides which CUDA runs."""
    full = labels.get("nvidia.com/cuda.driver-version.major") or labels.get("nvidia.com/cuda.driver.major", "")
    return full if re.fullmatch("[0-9]{1,5}", full) else ""


def _cuda(labels: Mapping[str, str]) -> tuple[int, int] | None:
    return _version(labels, "nvidia.com/cuda.runtime-version") or _version(labels, "nvidia.com/cuda.runtime")


def _version(labels: Mapping[str, str], prefix: str) -> tuple[int, int] | None:
    major, minor = labels.get(f"{prefix}.major", ""), labels.get(f"{prefix}.minor", "")
    if re.fullmatch("[0-9]{1,2}", major) and re.fullmatch("[0-9]{1,2}", minor):
        return int(major), int(minor)
    return None


def _number(labels: Mapping[str, str], name: str, otherwise: int = 1) -> int:
    return _whole_number(labels.get(name)) or otherwise


def _whole_number(text: object) -> int | None:
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 12:
        return int(text)
    return None
