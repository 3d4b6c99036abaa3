"""Verdicts: each check with the node that breaks it, and the words that the user sees."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.answers import BytesEstimate, Need, NodeTypeAnswer, Phase, Source, Verdict
from wattmark.api.placement import PlacementSpec, ResourcesSpec
from wattmark.api.runtime import Precision
from wattmark.estimate import Gpu, Unknown
from wattmark.fit import verdicts
from wattmark.fit.checks import Asked, Ground, WeightsSeen
from wattmark.fleet.nodes import Member, NodeType, SeenNode, Taint
from wattmark.fleet.offers import Offer

GIB = 1 << 30


def gib(low: float, likely: float, high: float) -> BytesEstimate:
    return BytesEstimate(
        low=int(low * GIB),
        likely=int(likely * GIB),
        high=int(high * GIB),
        coverage_ratio=0.9,
        source=Source.CLOSED_FORM,
    )


NEED = Need(
    peak_phase=Phase.DECODE,
    allocated_bytes=gib(16, 18, 20),
    reserved_bytes=gib(16, 20, 24),
    device_bytes=gib(17, 21, 26),
    required_bytes=gib(17, 19, 22),
    host_bytes=gib(1, 2, 3),
    components=[],
)
OFFER = Offer(
    resource="nvidia.com/gpu",
    count=8,
    product="NVIDIA-L4",
    memory_bytes=24 * GIB,
    memory_from="label nvidia.com/gpu.memory",
    capability=(8, 9),
    shared=False,
    driver="580",
)
NODE = SeenNode(
    name="a", labels={"zone": "x"}, taints=(), ready=True, cordoned=False, simulated=False, arch="amd64",
    memory_bytes=64 * GIB, disk_bytes=100 * GIB, offers=(OFFER,),
)  # fmt: skip


def answer(
    offer: Mapping[str, Any] | None = None,
    nodes: tuple[Mapping[str, Any], ...] = ({},),
    free: int | None = 8,
    need: Need | Unknown = NEED,
    precision: Precision = Precision.BF16,
    resources: Mapping[str, Any] | None = None,
    placement: Mapping[str, Any] | None = None,
    only_asks: bool = False,
    download_bytes: int | None = None,
    weights: WeightsSeen | None = None,
) -> NodeTypeAnswer:
    """The answer for one node type that differs from a plain one as said."""
    members = tuple(Member(replace(NODE, **changes), free) for changes in nodes)
    cpu = resources is not None and resources.get("gpusPerNode") == 0
    kind = NodeType("type", None if cpu else replace(OFFER, **(offer or {})), False, members)
    asked = Asked(
        need=lambda gpu: need,
        precision=precision,
        resources=ResourcesSpec.model_validate(resources or {}),
        placement=PlacementSpec.model_validate(placement or {}),
        only_asks=only_asks,
        download_bytes=download_bytes,
        weights=weights,
    )
    (found,) = verdicts.compare(asked, [kind]).answers
    return found


SIMULATED = {"taints": (Taint("wattmark.dev/simulated", "true", "NoSchedule"),)}
TEAM = {"taints": (Taint("team", "a", "NoSchedule"),)}
TOLERATED = {"tolerations": [{"key": "team", "operator": "Equal", "value": "a"}]}
ON_CPU = {"gpusPerNode": 0}

CASES: list[Any] = [
    pytest.param({}, "Fits", "Memory", "needs 17.0 to 22.0 GiB of 24.0 GiB", id="even the high end fits"),
    pytest.param(
        {"offer": {"memory_bytes": 20 * GIB}},
        "FitsTight",
        "Memory",
        "the upper end does not fit",
        id="only the low end",
    ),
    pytest.param(
        {"offer": {"memory_bytes": 16 * GIB}},
        "DoesNotFit",
        "Memory",
        "needs 16.0 to 20.0 GiB beside 1.0 GiB of context and driver, at least 1.0 GiB more than one NVIDIA-L4",
        id="not even the low end",
    ),
    pytest.param(
        {"offer": {"memory_bytes": 18 * GIB}},
        "FitsTight",
        "Memory",
        "needs 17.0 to 22.0 GiB of 18.0 GiB: most likely it does not fit",
        id="the low end, and not the likely need",
    ),
    pytest.param(
        {"offer": {"capability": (7, 5), "memory_bytes": 16 * GIB}, "precision": Precision.BF16},
        "DoesNotFit",
        "Precision",
        "use fp16 (in training fp16-mixed); besides, it needs 16.0 to 20.0 GiB",
        id="neither the format nor the size",
    ),
    pytest.param(
        {"offer": {"shared": True}},
        "FitsTight",
        "SharedGpu",
        "which other Pods on the same GPU may take",
        id="a time slice is never safe",
    ),
    pytest.param(
        {"offer": {"shared": True, "limited": True}},
        "FitsTight",
        "SharedGpu",
        "the share to which MPS limits each process; a Pod of several processes may take more",
        id="nor is a share by MPS",
    ),
    pytest.param(
        {"offer": {"shared": True, "memory_bytes": 20 * GIB}},
        "FitsTight",
        "Memory",
        "the upper end does not fit",
        id="nor is one that may be too small by itself",
    ),
    pytest.param(
        {"offer": {"memory_bytes": None, "memory_from": "labels contradict"}},
        "Unknown",
        "MemoryUnknown",
        "labels contradict",
        id="memory that is not known",
    ),
    pytest.param(
        {"offer": {"capability": None, "memory_bytes": None, "memory_from": "no label tells"}},
        "Unknown",
        "CapabilityUnknown",
        "(label nvidia.com/gpu.compute.major); besides, the GPU's memory is not known: no label tells",
        id="neither what it can do nor its memory is known",
    ),
    pytest.param(
        {"need": Unknown("no formula")}, "Unknown", "NotEstimated", "no formula", id="a need that is not known"
    ),
    pytest.param(
        {"offer": {"resource": "nvidia.com/mig-1g.10gb"}},
        "DoesNotFit",
        "OtherResource",
        "offers nvidia.com/mig-1g.10gb, not nvidia.com/gpu",
        id="a slice where a whole GPU is asked for",
    ),
    pytest.param(
        {
            "offer": {"resource": "nvidia.com/mig-1g.10gb"},
            "resources": {"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}},
        },
        "Fits",
        "Memory",
        "needs",
        id="a slice where a slice is asked for",
    ),
    pytest.param(
        {"resources": {"gpu": {"products": ["NVIDIA-L40S"]}}},
        "DoesNotFit",
        "OtherProduct",
        "NVIDIA-L4 is not in resources.gpu.products",
        id="a product that is not listed",
    ),
    pytest.param(
        {"offer": {"count": 0}}, "DoesNotFit", "TooFewGpus", "a node of this type has 0", id="no GPU is allocatable"
    ),
    pytest.param(
        {"placement": {"nodeSelector": {"zone": "y"}}},
        "Unknown",
        "NotSelected",
        "zone=y",
        id="no node carries the selected label yet",
    ),
    pytest.param({"placement": {"nodeSelector": {"zone": "x"}}}, "Fits", "Memory", "needs", id="a node carries it"),
    pytest.param({"nodes": (TEAM,)}, "Unknown", "Taint", "team=a:NoSchedule", id="a taint that is not tolerated now"),
    pytest.param(
        {"nodes": (TEAM,), "only_asks": True},
        "DoesNotFit",
        "Taint",
        "team=a",
        id="a question is about nodes as they are",
    ),
    pytest.param({"nodes": (TEAM,), "placement": TOLERATED}, "Fits", "Memory", "needs", id="a taint that is tolerated"),
    pytest.param({"nodes": (TEAM, {})}, "Fits", "Memory", "needs", id="one node of two without the taint"),
    pytest.param(
        {"nodes": ({"taints": (Taint("nvidia.com/gpu", "present", "NoSchedule"),)},)},
        "Fits",
        "Memory",
        "needs",
        id="the GPU's own taint is always tolerated",
    ),
    pytest.param({"nodes": (SIMULATED,)}, "Unknown", "Taint", "simulated", id="a run never lands on simulated nodes"),
    pytest.param(
        {"nodes": (SIMULATED,), "only_asks": True}, "Fits", "Memory", "needs", id="a question may speak of them"
    ),
    pytest.param(
        {"offer": {"capability": (7, 5)}},
        "DoesNotFit",
        "Precision",
        "bf16 needs compute capability 8.0, this GPU has 7.5; use fp16",
        id="an old GPU without bf16",
    ),
    pytest.param(
        {"offer": {"capability": (7, 5)}, "precision": Precision.FP16}, "Fits", "Memory", "needs", id="it has fp16"
    ),
    pytest.param(
        {"offer": {"capability": None}}, "Unknown", "CapabilityUnknown", "gpu.compute.major", id="a silent GPU and bf16"
    ),
    pytest.param(
        {"offer": {"capability": None}, "precision": Precision.FP32}, "Fits", "Memory", "needs", id="fp32 runs anywhere"
    ),
    pytest.param(
        {"offer": {"memory_bytes": None, "capability": (7, 5)}},
        "DoesNotFit",
        "Precision",
        "bf16",
        id="what certainly fails outweighs what is not known",
    ),
    pytest.param(
        {"nodes": ({"memory_bytes": 2 * GIB},)},
        "DoesNotFit",
        "HostMemory",
        "requests 3.0 GiB of host memory, the largest node can give 2.0 GiB",
        id="no node has the host memory",
    ),
    pytest.param(
        {"resources": {"memory": "512Mi"}}, "DoesNotFit", "HostMemory", "limits it to 0.5 GiB", id="too tight a limit"
    ),
    pytest.param({"resources": ON_CPU}, "Fits", "Memory", "needs 1.0 to 3.0 GiB of 64.0 GiB", id="a run on CPUs"),
    pytest.param(
        {"resources": {**ON_CPU, "memory": "2Gi"}}, "FitsTight", "Memory", "of 2.0 GiB", id="a CPU run with a limit"
    ),
    pytest.param(
        {"resources": ON_CPU, "nodes": ()}, "Unknown", "MemoryUnknown", "no node", id="a cluster without nodes"
    ),
]


@pytest.mark.parametrize(("changes", "verdict", "reason", "says"), CASES)
def test_the_verdict_and_its_reason(changes: dict[str, Any], verdict: str, reason: str, says: str) -> None:
    found = answer(**changes)
    assert (found.verdict.value, found.reason) == (verdict, reason)
    assert says in found.message


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        pytest.param({}, Verdict.FITS, id="GPUs are free"),
        pytest.param({"free": 0}, Verdict.DOES_NOT_FIT, id="none is free"),
        pytest.param({"free": None}, Verdict.UNKNOWN, id="other Pods may not be read"),
        pytest.param({"nodes": ({"cordoned": True},)}, Verdict.DOES_NOT_FIT, id="the only node is cordoned"),
        pytest.param({"nodes": ({"ready": False},)}, Verdict.DOES_NOT_FIT, id="the only node is not ready"),
        pytest.param({"offer": {"memory_bytes": 20 * GIB}}, Verdict.FITS_TIGHT, id="free, but tight"),
        pytest.param({"nodes": ()}, Verdict.DOES_NOT_FIT, id="none is there: an autoscaler would add it"),
        pytest.param({"need": Unknown("no formula")}, Verdict.UNKNOWN, id="the need is not known"),
        pytest.param(
            {"need": Unknown("no formula"), "nodes": ()}, Verdict.DOES_NOT_FIT, id="nor does what is not there tell"
        ),
        pytest.param({"placement": {"nodeSelector": {"zone": "y"}}}, Verdict.DOES_NOT_FIT, id="none is selected"),
        pytest.param({"resources": ON_CPU}, Verdict.UNKNOWN, id="what CPU nodes have free is not read"),
    ],
)
def test_what_fits_now(changes: dict[str, Any], now: Verdict) -> None:
    assert answer(**changes).fits_now is now


def test_an_empty_node_may_fit_where_nothing_is_free() -> None:
    found = answer(free=0)
    assert (found.verdict, found.fits_now, found.free_gpus) == (Verdict.FITS, Verdict.DOES_NOT_FIT, 0)


def test_nodes_are_counted_by_state() -> None:
    found = answer(nodes=({}, {}, {"cordoned": True}, {"ready": False}, {"ready": False, "cordoned": True}))
    assert (found.nodes, found.cordoned_nodes, found.not_ready_nodes, found.free_gpus) == (2, 1, 2, 16)
    assert found.headroom_bytes == 5 * GIB


def test_nodes_whose_taints_are_not_tolerated_are_counted_apart() -> None:
    taints = (Taint("team", "ml", "NoSchedule"),)
    nodes = ({}, {"taints": taints}, {"taints": taints, "cordoned": True}, {"taints": taints, "ready": False})
    found, open_to = answer(nodes=nodes), {"tolerations": [{"key": "team", "operator": "Exists"}]}
    assert (found.nodes, found.tainted_nodes, found.cordoned_nodes, found.not_ready_nodes) == (1, 1, 1, 1)
    found = answer(nodes=nodes, placement=open_to)
    assert (found.nodes, found.tainted_nodes, found.cordoned_nodes, found.not_ready_nodes) == (2, 0, 1, 1)
    found = answer(nodes=nodes, placement={"nodeSelector": {"zone": "y"}})
    assert (found.nodes, found.tainted_nodes) == (0, 0)


def test_the_smallest_gpu_that_fits_comes_first() -> None:
    sizes = {"small": 16, "tight": 20, "large": 80, "good": 24}
    kinds = [
        NodeType(name, replace(OFFER, memory_bytes=size * GIB), False, (Member(NODE, 8),))
        for name, size in sizes.items()
    ]
    asked = Asked(lambda gpu: NEED, Precision.BF16, ResourcesSpec(), PlacementSpec(), only_asks=True)
    assert [found.node_type for found in verdicts.compare(asked, kinds).answers] == ["good", "large", "tight", "small"]


def test_the_need_is_reckoned_once_for_each_kind_of_gpu() -> None:
    seen: list[Gpu | None] = []

    def need(gpu: Gpu | None) -> Need:
        seen.append(gpu)
        return NEED

    capabilities = [(8, 9), (9, 0), (8, 9)]
    kinds = [NodeType(str(i), replace(OFFER, capability=c), False, ()) for i, c in enumerate(capabilities)]
    verdicts.compare(Asked(need, Precision.FP32, ResourcesSpec(), PlacementSpec(), only_asks=True), kinds)
    assert seen == [Gpu((8, 9), OFFER.product), Gpu((9, 0), OFFER.product)]


RISKS = [
    pytest.param({"offer": {"memory_bytes": 22 * GIB}}, 0.05, id="the upper end just fits: one case in twenty"),
    pytest.param({"offer": {"memory_bytes": 19 * GIB}}, 0.5, id="the likely need is all there is"),
    pytest.param({"offer": {"shared": True}}, None, id="others on the same GPU take what they like"),
    pytest.param({"offer": {"memory_bytes": None}}, None, id="memory that is not known"),
    pytest.param({"need": Unknown("no formula")}, None, id="a need that is not known"),
    pytest.param({"resources": ON_CPU}, None, id="no GPU"),
]


@pytest.mark.parametrize(("changes", "probability"), RISKS)
def test_how_likely_it_runs_out_of_memory(changes: dict[str, Any], probability: float | None) -> None:
    assert answer(**changes).out_of_memory_probability == probability


OFFERS = st.lists(
    st.tuples(
        st.sampled_from([None, *(int(size * GIB) for size in (16, 20, 22, 23.8, 24, 40))]),
        st.sampled_from([(7, 5), (8, 9), None]),
        st.booleans(),
    ),
    max_size=5,
)


def grounds_of(offers: list[Any]) -> list[Ground]:
    return [
        Ground(str(n), replace(OFFER, memory_bytes=size, capability=kind, shared=shared), None, 64 * GIB, 0)
        for n, (size, kind, shared) in enumerate(offers)
    ]


def asked_of(need: Need | Unknown) -> Asked:
    return Asked(lambda gpu: need, Precision.BF16, ResourcesSpec(), PlacementSpec(), only_asks=True)


@given(OFFERS, st.sampled_from([NEED, Unknown("no formula")]))
def test_what_surely_fits_is_what_is_judged_so_the_smallest_first(offers: list[Any], need: Need | Unknown) -> None:
    grounds, asked = grounds_of(offers), asked_of(need)
    judged = zip(grounds, verdicts.judgements(asked, grounds), strict=True)
    # Of equally large ones the one with the most.
    sure = [((round((one.offered or 0) / GIB), -(one.offered or 0)), ground.name) for ground, one in judged if one.sure]
    assert [ground.name for ground in verdicts.surely_fit(asked, grounds)] == [name for _, name in sorted(sure)]


@given(OFFERS, st.sampled_from([NEED, Unknown("no formula")]))
def test_the_roomiest_is_the_one_with_the_most_that_nothing_but_memory_speaks_against(
    offers: list[Any], need: Need | Unknown
) -> None:
    grounds, asked = grounds_of(offers), asked_of(need)
    judged = zip(grounds, verdicts.judgements(asked, grounds), strict=True)
    about = [(one.offered, ground) for ground, one in judged if one.about_memory and one.offered is not None]
    most = max((offered for offered, _ in about), default=None)
    found = verdicts.roomiest(asked, grounds)
    assert found == next(((ground, offered) for offered, ground in about if offered == most), None)
