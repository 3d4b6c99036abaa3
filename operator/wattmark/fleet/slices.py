"""ResourceSlices of GPU drivers (dynamic resource allocation) -> the GPUs that nodes offer by claim. Total: odd input
never raises.

Attributes as NVIDIA's and AMD's drivers publish them. Whatever cannot be told is None, with the reason beside it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from sys import intern

from wattmark.fleet.gpus import gpu_product
from wattmark.fleet.offers import AMD, MIG_PROFILE, MOST_BYTES, MOST_GPUS, NVIDIA, TABLE, Claim, Offer, agreed
from wattmark.held import same
from wattmark.observe import Body, clean, items, mapping, quantity, text

NVIDIA_DRIVER, AMD_DRIVER = "gpu.nvidia.com", "gpu.amd.com"
MOST_NAME = 64  # characters of a product; the API allows an attribute as many


@dataclass(frozen=True, slots=True)
class SeenSlice:
    """One ResourceSlice: GPUs of a node, all of them or a part.

    `pool` is driver and name of what it is a part of; `generation` counts the pool's versions, and `parts` how many
    slices make up this one.
    """

    node: str
    pool: tuple[str, str]
    generation: int
    parts: int
    offers: tuple[Offer, ...]


def read_slice(body: Body) -> SeenSlice | None:
    """What a ResourceSlice offers; None where it is of no GPU driver, or of no single node."""
    spec = mapping(body.get("spec"))
    driver, node, pool = text(spec.get("driver")), text(spec.get("nodeName")), mapping(spec.get("pool"))
    read = _READERS.get(driver)
    if read is None or not node:
        return None
    devices = [_Device(driver, device) for device in items(spec.get("devices"))]
    # A GPU that is cut into slices is listed beside them by some releases of the driver; it cannot be claimed whole.
    cut = {parent for device in devices if (parent := device.text("parentUUID"))}
    counts: Counter[Offer] = Counter()
    for device in devices:
        if device.closed or device.text("uuid") in cut:
            continue
        offer = read(device)
        if offer is not None:
            counts[offer] += 1
    found = tuple(replace(offer, count=min(count, MOST_GPUS)) for offer, count in counts.items())
    return SeenSlice(
        node=intern(node),
        pool=same((driver, intern(text(pool.get("name"))))),
        generation=_number(pool.get("generation")),
        parts=_number(pool.get("resourceSliceCount")),
        offers=same(found, tuple(offer.memory_from for offer in found)),
    )


def claimable(slices: Iterable[SeenSlice]) -> Mapping[str, tuple[Offer, ...]]:
    """What each node offers by claim, by the node's name.

    Of each pool only the newest generation counts, and none of it before all of its slices are there: the driver is
    about to write the rest.
    """
    pools: dict[tuple[str, tuple[str, str]], list[SeenSlice]] = defaultdict(list)
    for one in slices:
        pools[one.node, one.pool].append(one)
    nodes: dict[str, tuple[Offer, ...]] = {}
    for (node, _), parts in pools.items():
        newest = max(part.generation for part in parts)
        current = [part for part in parts if part.generation == newest]
        if len(current) >= max(part.parts for part in current):
            nodes[node] = (*nodes.get(node, ()), *_summed(current))
    return nodes


def _summed(parts: list[SeenSlice]) -> tuple[Offer, ...]:
    if len(parts) == 1:
        return parts[0].offers
    counts: Counter[Offer] = Counter()
    for part in parts:
        for offer in part.offers:
            counts[replace(offer, count=0)] += offer.count
    return tuple(replace(offer, count=min(count, MOST_GPUS)) for offer, count in counts.items())


class _Device:
    """A device of a slice, with typed looks at its attributes."""

    def __init__(self, driver: str, body: Body) -> None:
        self.origin = f"ResourceSlice of {driver}"
        self.closed = any(t.get("effect") in ("NoSchedule", "NoExecute") for t in items(body.get("taints")))
        self.several_at_once = body.get("allowMultipleAllocations") is True
        # It takes its memory from where others might: one way of many to cut a GPU.
        self.consumes = bool(items(body.get("consumesCounters")))
        self._driver = driver
        self._attributes, self._capacity = mapping(body.get("attributes")), mapping(body.get("capacity"))

    def text(self, name: str) -> str:
        """A string attribute, on one line; empty where there is none."""
        return clean(text(self._attribute(name).get("string")), MOST_NAME)

    def version(self, name: str) -> tuple[int, int] | None:
        """Major and minor number of a version attribute; None where there is none."""
        match = re.match(r"([0-9]{1,5})\.([0-9]{1,5})(?:\.|$)", text(self._attribute(name).get("version")))
        return None if match is None else (int(match[1]), int(match[2]))

    def memory(self) -> list[Claim]:
        """Its memory in bytes, or nothing."""
        capacity = mapping(self._capacity.get("memory") or self._capacity.get(f"{self._driver}/memory"))
        size = int(min(quantity(capacity.get("value")) or 0, MOST_BYTES))
        return [Claim(size, self.origin)] if size else []

    def _attribute(self, name: str) -> Body:
        return mapping(self._attributes.get(name) or self._attributes.get(f"{self._driver}/{name}"))


def _of_nvidia(device: _Device) -> Offer | None:
    kind, profile = device.text("type"), device.text("profile")
    product = device.text("productName").replace(" ", "-")  # as the label of feature discovery spells it
    known = gpu_product(product)
    claims = device.memory()
    if kind == "gpu":
        resource = NVIDIA
        if known is not None:
            claims.append(Claim(known.memory_mib << 20, TABLE))
    elif kind == "mig" and re.fullmatch(MIG_PROFILE, profile.replace("+", ".")) and not device.consumes:
        resource = f"nvidia.com/mig-{profile.replace('+', '.')}"
        product = f"{product or 'unlabelled'}-MIG-{profile.replace('+', '.')}"
    else:
        return None
    size, origin = agreed(claims, f"{device.origin} tells no memory")
    driver = device.version("driverVersion")
    return Offer(
        resource=resource,
        count=0,
        product=product,
        memory_bytes=size,
        memory_from=origin,
        capability=device.version("cudaComputeCapability") or (known.capability if known else None),
        shared=device.several_at_once,
        driver="" if driver is None else str(driver[0]),
        cuda=device.version("cudaDriverVersion"),
        claimed=True,
    )


def _of_amd(device: _Device) -> Offer | None:
    kind = device.text("type")
    if kind not in ("amdgpu", "amdgpu-partition") or (kind == "amdgpu-partition" and device.consumes):
        return None
    size, origin = agreed(device.memory(), f"{device.origin} tells no memory")
    product = device.text("productName").replace(" ", "-") or "AMD"
    return Offer(AMD, 0, product, size, origin, None, shared=device.several_at_once, driver="", claimed=True)


_READERS: Mapping[str, Callable[[_Device], Offer | None]] = {NVIDIA_DRIVER: _of_nvidia, AMD_DRIVER: _of_amd}


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
