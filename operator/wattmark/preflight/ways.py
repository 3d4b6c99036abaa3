"""By which way a need is found: a formula, a trace, or neither; and what is said of the others."""

from wattmark.api.modelcheck import Method, ModelCheckSpec
from wattmark.api.runtime import QuantizationType
from wattmark.estimate import Gpu, Unknown
from wattmark.fit.demand import Spec, demand
from wattmark.model_facts import Facts
from wattmark.models import Architecture
from wattmark.models.resolve import Impossible

TRACE_IT = "set spec.method to Traced or Auto to have it traced"


def needs_trace(spec: ModelCheckSpec, facts: Facts) -> bool:
    """Whether the question is answered by a trace: asked for, or the only way."""
    if spec.method is Method.CLOSED_FORM or spec.estimated_optimizer or not _traceable(spec) or unrunnable(facts):
        return False
    if isinstance(facts.architecture, str) or facts.config is None:
        return True
    wanted = demand(spec, facts.architecture, facts.config, only_asks=True)
    if isinstance(wanted, Impossible):
        return False  # the refusal tells
    return spec.method is Method.TRACED or isinstance(wanted.need_on(Gpu(), simulate=False), Unknown)


def _traceable(spec: Spec) -> bool:
    """Whether a trace may answer, with an optimizer of PyTorch's: it is of one GPU and of weights as they are, and a
    run does not wait for one."""
    if not isinstance(spec, ModelCheckSpec):
        return False
    return spec.resources.gpus_per_node == 1 and spec.runtime.quantization.type is QuantizationType.NONE


def unrunnable(facts: Facts) -> str:
    """Why the runner cannot build the model, which keeps it from tracing it as well; empty where it can."""
    return facts.architecture.unrunnable if isinstance(facts.architecture, Architecture) else ""


def with_way(spec: Spec, facts: Facts, why: str) -> str:
    """Why a need is not known, and how it would be."""
    if why_not := unrunnable(facts):
        return f"{why}, and it cannot be traced: {why_not}"
    if not _traceable(spec):
        return why
    if isinstance(spec, ModelCheckSpec) and spec.estimated_optimizer:
        return f"{why}, and training.optimizer AdamW8Bit and Lion cannot be traced; use another"
    return f"{why}; {TRACE_IT}"
