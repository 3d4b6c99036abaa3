"""What a spec asks of a node: its model known, its defaults filled in, ready to be compared. Pure."""

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from wattmark import models
from wattmark.api.answers import Need
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.model import ModelSpec, SourceType, Weights
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.api.trace import Trace
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Gpu, Reckoned, Unknown, need, reckoned
from wattmark.estimate.traced import traced
from wattmark.evidence import (
    NO_EXPERIENCE,
    NOTHING_LEARNT,
    Experience,
    Lesson,
    Subject,
    device,
    informed,
    must_be_offered,
    subject,
)
from wattmark.fit.checks import Asked
from wattmark.models import Architecture
from wattmark.models.resolve import ALONE, Impossible, resolve

Spec = BenchmarkJobSpec | ModelCheckSpec
BEYOND = 2**63  # the size of what has no estimate: fits nowhere


@dataclass(frozen=True)
class Demand:
    """A spec with its model's architecture and the `config` (config.json) that this is read from.

    `only_asks`: nothing will run, so that nodes count that no run lands on. `experience` are the earlier runs that may
    speak.
    """

    spec: Spec
    architecture: Architecture
    config: str
    resolved: Resolved
    only_asks: bool
    experience: Experience = NO_EXPERIENCE
    _needs: dict[tuple[Gpu | None, bool], Need | Unknown] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )
    _sizes: dict[tuple[Gpu | None, bool], Reckoned | Unknown] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )

    @cached_property
    def subject(self) -> Subject:
        """What earlier runs can have in common with it."""
        asked = (self.architecture, self.resolved, self.spec.model.weights, self.spec.resources.gpus_per_node)
        return subject(*asked)

    def lesson_on(self, gpu: Gpu | None) -> Lesson:
        """What earlier runs say of it on a GPU (None: on a CPU)."""
        return self.experience.lesson(self.subject, device(gpu)) if self.experience else NOTHING_LEARNT

    def lesson_elsewhere(self, gpu: Gpu | None) -> Lesson:
        """What they say of the same model with another batch or length."""
        return self.experience.lesson(self.subject.elsewhere, device(gpu)) if self.experience else NOTHING_LEARNT

    def need_on(self, gpu: Gpu | None, *, simulate: bool = True) -> Need | Unknown:
        """The need on a GPU (None: on a CPU), or why it is not known. Not to `simulate` is cheap, and no more."""
        key = _kind(gpu), simulate
        if key not in self._needs:
            self._needs[key] = need(
                self.architecture, self.resolved, self.spec.model.weights, key[0], simulate=simulate
            )
        found = self._needs[key]
        return found if isinstance(found, Unknown) else informed(found, self.lesson_on(gpu))

    def offer_on(self, gpu: Gpu | None, *, simulate: bool = True) -> int:
        """The high end of what a GPU must offer (None: the host): what `need_on` tells, in a fraction of the time."""
        key = _kind(gpu), simulate
        if key not in self._sizes:
            self._sizes[key] = reckoned(
                self.architecture, self.resolved, self.spec.model.weights, key[0], simulate=simulate
            )
        found = self._sizes[key]
        return BEYOND if isinstance(found, Unknown) else must_be_offered(found, self.lesson_on(gpu))

    def asked(self, *, simulate: bool = True) -> Asked:
        """The demand in the form that the checks read."""
        return Asked(
            need=partial(self.need_on, simulate=simulate),
            precision=self.resolved.precision,
            resources=self.spec.resources,
            placement=self.spec.placement,
            only_asks=self.only_asks,
            download_bytes=download_bytes(self.architecture, self.config, self.spec.model),
        )


@dataclass(frozen=True, slots=True)
class TracedDemand:
    """A question with its trace. The model is a string, why it is not known, where only a Pod can read it.

    Runs of the same question speak of it where the model is known; the like do not: how far they lay from the closed
    form says nothing of a trace.
    """

    spec: ModelCheckSpec
    trace: Trace
    architecture: Architecture | str
    config: str | None
    experience: Experience = NO_EXPERIENCE

    def lesson_on(self, gpu: Gpu | None) -> Lesson:
        """What runs of the same question say of it on a GPU."""
        if isinstance(self.architecture, str):
            return NOTHING_LEARNT
        about = subject(self.architecture, self.trace.resolved, self.spec.model.weights, 1)
        return self.experience.lesson(about, device(gpu)).of_the_same

    def need_on(self, gpu: Gpu | None) -> Need | Unknown:
        """The need on a GPU."""
        if gpu is None:
            return Unknown("a trace is of a GPU")
        return informed(traced(self.trace, self.spec.model.weights, gpu), self.lesson_on(gpu))

    def asked(self) -> Asked:
        """The question as the checks read it. What is downloaded is known where the operator has the configuration."""
        fetched = None
        if isinstance(self.architecture, Architecture) and self.config is not None:
            fetched = download_bytes(self.architecture, self.config, self.spec.model)
        return Asked(
            need=self.need_on,
            precision=self.trace.resolved.precision,
            resources=self.spec.resources,
            placement=self.spec.placement,
            only_asks=True,
            download_bytes=fetched,
        )


def demand(
    spec: Spec, architecture: Architecture, config: str, *, only_asks: bool, experience: Experience = NO_EXPERIENCE
) -> Demand | Impossible:
    """The demand of a spec, or which field makes it impossible for the model."""
    shared = spec.parallelism if isinstance(spec, ModelCheckSpec) else ALONE
    resolved = resolve(architecture, spec.workload, spec.runtime, spec.resources.gpus_per_node, shared)
    if isinstance(resolved, Impossible):
        return resolved
    return Demand(spec, architecture, config, resolved, only_asks, experience)


def _kind(gpu: Gpu | None) -> Gpu | None:
    """What the estimate knows of a GPU: which product it is matters to earlier runs alone."""
    return None if gpu is None else Gpu(gpu.capability)


def download_bytes(architecture: Architecture, config: str, model: ModelSpec) -> int | None:
    """The least that the weights take on a node's disk; None where none are downloaded, or they are quantized.

    A checkpoint that does not tell its format has at least two bytes a parameter.
    """
    on_volume = model.source is not None and model.source.type is SourceType.PERSISTENT_VOLUME_CLAIM
    size = None if model.weights is Weights.RANDOM or on_volume else _parameter_bytes(config)
    if size is None:
        return None
    head = models.head_for(architecture, WorkloadType.INFERENCE)
    return models.parameters(architecture, head, pretrained=True).total * size


@lru_cache(256)
def _parameter_bytes(config: str) -> int | None:
    raw = json.loads(config)
    if "quantization_config" in raw:
        return None
    return 4 if (raw.get("dtype") or raw.get("torch_dtype")) == "float32" else 2
