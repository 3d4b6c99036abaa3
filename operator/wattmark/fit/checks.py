"""What must hold for a run on a kind of node: each a named function that says why it does not, with numbers."""

from collections.abc import Callable
from dataclasses import dataclass

from wattmark.api.answers import Need
from wattmark.api.placement import PlacementSpec, ResourcesSpec
from wattmark.api.runtime import Precision
from wattmark.estimate import Gpu, Unknown
from wattmark.fleet.offers import AMD, NVIDIA, Offer
from wattmark.observe import quantity

GIB = 1 << 30
HOST_MEMORY = "HostMemory"  # the reason of both checks of host memory
MEMORY_UNKNOWN = "MemoryUnknown"
AMPERE = (8, 0)
# What needs compute capability 8.0, and what does without.
_OLDER = {
    Precision.TF32: "fp32",
    Precision.BF16: "fp16 (in training fp16-mixed)",
    Precision.BF16_MIXED: "fp16-mixed",
}
NEEDS_AMPERE = frozenset(_OLDER)
# The CUDA release that the runner image's torch brings along, and what that asks of a node. A test holds it to the
# image's lock file. Drivers: table 1 of NVIDIA's "Minor Version Compatibility"; CUDA 13 has no kernels before Turing.
RUNNER_CUDA = 13
LEAST_DRIVER = 580
TURING = (7, 5)


@dataclass(frozen=True, slots=True)
class WeightsSeen:
    """What a hub said when it was asked for a model's weights: whether they are there (None: not known), in words."""

    there: bool | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a node type. `need` gives the need on a GPU (None: on a CPU), or why there is none.

    `only_asks` tells that nothing will run: simulated nodes may be asked about, but a run never lands there unless it
    tolerates their taint. `download_bytes` are the weights that a run would fetch onto the node's disk, None where it
    fetches none or their size is not known, `weights` what the hub said of
    them, None where it was not asked. `most` gives the largest batch and the longest input for a GPU with so many
    bytes, where that is asked.
    """

    need: Callable[[Gpu | None], Need | Unknown]
    precision: Precision
    resources: ResourcesSpec
    placement: PlacementSpec
    only_asks: bool
    download_bytes: int | None = None
    weights: WeightsSeen | None = None
    most: Callable[[Gpu | None, int], tuple[int | None, int | None]] | None = None

    @property
    def resource(self) -> str:
        """The extended resource that is requested."""
        return self.resources.gpu.resource_name if self.resources.gpu else NVIDIA


@dataclass(frozen=True, slots=True)
class Objection:
    """Why it does not fit, or cannot be told (`unknown`)."""

    reason: str
    message: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What a kind of node has for one Pod, whatever that needs. `closed` tells why none of them would take the Pod.

    `host_bytes` and `disk_bytes` are the most that a single node can give; 0 where no node tells.
    """

    name: str
    offer: Offer | None
    closed: Objection | None
    host_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one kind of node."""

    asked: Asked
    ground: Ground
    need: Need | Unknown


def offers_the_resource(case: Case) -> Objection | None:
    """The node type offers GPUs under the name that is requested."""
    offer = case.ground.offer
    if offer is None or offer.resource == case.asked.resource:
        return None
    if offer.resource == AMD:
        return Objection("OtherResource", f"offers {AMD}; the need is known on NVIDIA's GPUs only", unknown=True)
    return Objection(
        "OtherResource", f"offers {offer.resource}, not {case.asked.resource}; see resources.gpu.resourceName"
    )


def can_be_requested(case: Case) -> Objection | None:
    """Pods can request the GPU by its name; they need not claim it."""
    offer = case.ground.offer
    if offer is None or not offer.claimed:
        return None
    return Objection(
        "ClaimedGpu",
        f"these nodes offer their GPUs by resource claim (ResourceSlices), and the Pod of a run requests "
        f"{offer.resource}: it gets one only if a DeviceClass says extendedResourceName {offer.resource} (feature "
        "DRAExtendedResource), or if a device plugin offers them",
        unknown=True,
    )


def is_an_accepted_product(case: Case) -> Objection | None:
    """The product is one of those listed, if any are."""
    offer, gpu = case.ground.offer, case.asked.resources.gpu
    if offer is None or gpu is None or gpu.products is None or offer.product in gpu.products:
        return None
    return Objection("OtherProduct", f"{offer.product or 'a GPU without label'} is not in resources.gpu.products")


def has_enough_gpus(case: Case) -> Objection | None:
    """One node has as many GPUs as the run takes."""
    offer, wanted = case.ground.offer, case.asked.resources.gpus_per_node
    if offer is None or offer.count >= wanted:
        return None
    return Objection("TooFewGpus", f"{wanted} GPUs per node are asked for; a node of this type has {offer.count}")


def joins_its_gpus(case: Case) -> Objection | None:
    """Several GPUs are whole ones, and not other Pods' as well."""
    offer, wanted = case.ground.offer, case.asked.resources.gpus_per_node
    if offer is None or wanted < 2:
        return None
    asks = f"{wanted} GPUs are asked for"
    if offer.mig:
        said = "these are MIG slices, whose memory does not add up: NCCL has no way between them; ask for whole GPUs"
        return Objection("MigSlices", f"{asks}, {said}")
    if offer.shared:
        return Objection(
            "SharedGpus", f"{asks}; of a shared GPU, several may be one and the same, with its memory once"
        )
    return None


def lets_the_pod_land(case: Case) -> Objection | None:
    """Some node carries the selected labels and no taint that is not tolerated."""
    return case.ground.closed


def has_kernels(case: Case) -> Objection | None:
    """The runner's torch brings kernels for the GPU."""
    offer = case.ground.offer
    if offer is None or offer.capability is None or offer.capability >= TURING:
        return None
    has, least = ("{}.{}".format(*capability) for capability in (offer.capability, TURING))
    said = f"the runner's CUDA {RUNNER_CUDA} has kernels from compute capability {least}, this GPU has {has}"
    return Objection("ComputeCapability", said)


def has_the_driver(case: Case) -> Objection | None:
    """The node's driver is new enough for the runner's CUDA. Where no label tells the driver, the run itself will."""
    offer = case.ground.offer
    if offer is not None and not offer.driver and offer.cuda is not None and offer.cuda[0] < RUNNER_CUDA:
        runs = "{}.{}".format(*offer.cuda)
        return Objection("Driver", f"the runner has CUDA {RUNNER_CUDA}, the driver of these nodes runs up to {runs}")
    major = offer.driver.partition(".")[0] if offer is not None else ""
    if not major.isdecimal() or int(major) >= LEAST_DRIVER:
        return None
    return Objection(
        "Driver", f"the runner's CUDA {RUNNER_CUDA} needs driver {LEAST_DRIVER} or newer, these nodes have {major}"
    )


def can_do_the_precision(case: Case) -> Objection | None:
    """The GPU computes in the precision that is asked for."""
    offer, precision = case.ground.offer, case.asked.precision
    if offer is None or precision not in _OLDER:
        return None
    if offer.capability is None:
        return Objection(
            "CapabilityUnknown",
            f"{precision.value} needs compute capability 8.0, and nodes do not tell theirs "
            "(label nvidia.com/gpu.compute.major)",
            unknown=True,
        )
    if offer.capability >= AMPERE:
        return None
    major, minor = offer.capability
    other = _OLDER[precision]
    return Objection(
        "Precision", f"{precision.value} needs compute capability 8.0, this GPU has {major}.{minor}; use {other}"
    )


def is_estimated(case: Case) -> Objection | None:
    """There is a need to compare."""
    if isinstance(case.need, Unknown):
        return Objection("NotEstimated", f"the need is not known: {case.need.reason}", unknown=True)
    return None


def has_known_memory(case: Case) -> Objection | None:
    """The GPU's memory is known."""
    offer = case.ground.offer
    if offer is None or offer.memory_bytes is not None:
        return None
    return Objection(MEMORY_UNKNOWN, f"the GPU's memory is not known: {offer.memory_from}", unknown=True)


def has_the_memory(case: Case) -> Objection | None:
    """Even the low end of what each GPU must offer fits into one."""
    offer = case.ground.offer
    if isinstance(case.need, Unknown) or offer is None or offer.memory_bytes is None:
        return None
    need, device, reserved = case.need.required_bytes, case.need.device_bytes, case.need.reserved_bytes
    if need is None or need.low <= offer.memory_bytes:
        return None
    low, high = need.low, need.high
    if device is not None and reserved is not None:  # they differ by what is outside of PyTorch
        low, high = max(0, low - device.low + reserved.low), max(0, high - device.high + reserved.high)
    several = case.asked.resources.gpus_per_node > 1
    outside = "context, NCCL and driver" if several else "context and driver"
    kept = f" beside {gib(need.low - low)} GiB of {outside}" if need.low > low else ""
    return Objection(
        "Memory",
        f"needs {gib(low)} to {gib(high)} GiB{on_each(case)}{kept}, at least {gib(need.low - offer.memory_bytes)} GiB "
        f"more than one {offer.product or 'GPU'} of {gib(offer.memory_bytes)} GiB offers",
    )


def has_the_host_memory(case: Case) -> Objection | None:
    """Some node can give the Pod the host memory that it requests."""
    request, largest = host_request(case), case.ground.host_bytes
    if request is None or not largest or request <= largest:
        return None
    return Objection(
        HOST_MEMORY,
        f"the Pod requests {gib(request)} GiB of host memory, the largest node can give {gib(largest)} GiB; "
        "see resources.memory",
    )


def asks_for_enough_host_memory(case: Case) -> Objection | None:
    """The limit that is asked for holds at least the low end of the need for host memory."""
    limit = quantity(case.asked.resources.memory)
    need = None if isinstance(case.need, Unknown) else case.need.host_bytes
    if limit is None or need is None or need.low <= limit:
        return None
    return Objection(
        HOST_MEMORY,
        f"the run needs {gib(need.low)} to {gib(need.high)} GiB of host memory; "
        f"resources.memory limits it to {gib(int(limit))} GiB",
    )


def has_the_disk(case: Case) -> Objection | None:
    """Some node can hold the weights that the run would download."""
    size, largest = case.asked.download_bytes, case.ground.disk_bytes
    if size is None or not largest or size <= largest:
        return None
    return Objection(
        "Disk",
        f"the weights to download take {gib(size)} GiB, the largest node has {gib(largest)} GiB of ephemeral storage "
        "for Pods; read them from a volume (model.source PersistentVolumeClaim)",
    )


def finds_its_weights(case: Case) -> Objection | None:
    """The hub has the pretrained weights that the run would download."""
    seen, size = case.asked.weights, case.asked.download_bytes
    if seen is None or seen.there:
        return None
    weights = "the pretrained weights" if size is None else f"the pretrained weights ({gib(size)} GiB)"
    remedy = (
        "use weights Random, read them from a volume (model.source PersistentVolumeClaim), or name a token "
        "(model.source.hub.tokenSecretRef) if they are gated"
    )
    if seen.there is None:
        said = f"whether a run finds {weights} is not known: {seen.message}; {remedy}"
        return Objection("WeightsUnknown", said, unknown=True)
    return Objection("Weights", f"a run would not find {weights}: {seen.message}; {remedy}")


CHECKS: tuple[Callable[[Case], Objection | None], ...] = (
    offers_the_resource,
    can_be_requested,
    is_an_accepted_product,
    has_enough_gpus,
    joins_its_gpus,
    lets_the_pod_land,
    has_kernels,
    has_the_driver,
    can_do_the_precision,
    has_the_memory,
    has_the_host_memory,
    asks_for_enough_host_memory,
    has_the_disk,
    finds_its_weights,
    is_estimated,
    has_known_memory,
)


def on_each(case: Case) -> str:
    """The words that tell that a need is that of each of several GPUs."""
    wanted = case.asked.resources.gpus_per_node
    return f" on each of {wanted} GPUs" if wanted > 1 else ""


def host_request(case: Case) -> int | None:
    """Bytes of host memory that the Pod requests: as asked, else the high end of the estimate."""
    asked = quantity(case.asked.resources.memory)
    if asked is not None:
        return int(asked)
    if isinstance(case.need, Unknown) or case.need.host_bytes is None:
        return None
    return case.need.host_bytes.high


def gib(size_bytes: int) -> str:
    """A size in GiB, to a tenth."""
    return f"{size_bytes / GIB:.1f}"
