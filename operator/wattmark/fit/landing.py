"""Where a Pod may land: the nodes of a kind that placement lets it on, what they give, and why there are none."""

from wattmark.api.placement import Toleration, TolerationOperator
from wattmark.fit.checks import Asked, Ground, Objection
from wattmark.fleet.nodes import Member, NodeType, SeenNode, Taint
from wattmark.identity import SIMULATED_LABEL


def ground(asked: Asked, kind: NodeType, places: tuple[Member, ...]) -> Ground:
    """What a kind of node has to give, of which `places` would take the Pod."""
    return Ground(
        kind.name,
        kind.offer,
        None if places else _closed(asked, kind),
        max((m.node.memory_bytes for m in places), default=0),
        max((m.node.disk_bytes for m in places), default=0),
    )


def places(asked: Asked, kind: NodeType) -> tuple[Member, ...]:
    """The nodes where placement lets the Pod land, ready or not."""
    selector, closed = asked.placement.node_selector or {}, _keeping_away(asked, kind)
    return tuple(
        m for m in kind.members if id(m.node.taints) not in closed and (not selector or _selected(m.node, selector))
    )


def tainted(asked: Asked, kind: NodeType) -> int:
    """How many nodes nothing but their taints keeps the Pod away from: ready, schedulable, and selected."""
    closed = _keeping_away(asked, kind)
    if not closed:
        return 0
    selector = asked.placement.node_selector or {}
    nodes = [m.node for m in kind.members if id(m.node.taints) in closed]
    return sum(node.ready and not node.cordoned and _selected(node, selector) for node in nodes)


def _keeping_away(asked: Asked, kind: NodeType) -> set[int]:
    """The sets of taints that the Pod does not tolerate: thousands of nodes hold the same few, as the same objects."""
    one_for_each = {id(m.node.taints): m.node for m in kind.members}
    return {taints for taints, node in one_for_each.items() if untolerated(asked, node)}


def _closed(asked: Asked, kind: NodeType) -> Objection | None:
    """Why no node of this type would take the Pod; None where the type has no nodes yet.

    Of a run this is not known beforehand: a node that starts loses its taints, an autoscaler adds labelled ones. The
    scheduler will say.
    """
    if not kind.members:
        return None
    selector = asked.placement.node_selector or {}
    selected = [m.node for m in kind.members if _selected(m.node, selector)]
    if not selected:
        wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
        message = f"no node of this type carries the labels of placement.nodeSelector: {wanted}"
        return Objection("NotSelected", message, unknown=not asked.only_asks)
    taints = {str(taint) for node in selected for taint in untolerated(asked, node)}
    message = f"taints that placement.tolerations does not tolerate: {', '.join(sorted(taints))}"
    return Objection("Taint", message, unknown=not asked.only_asks)


def _selected(node: SeenNode, selector: dict[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in selector.items())


def untolerated(asked: Asked, node: SeenNode) -> tuple[Taint, ...]:
    """Taints that keep the Pod away; it always tolerates its own GPU resource's."""
    if not node.taints:
        return ()
    always = set()
    if asked.resources.gpus_per_node:
        always.add(f"{asked.resource.split('/', 1)[0]}/gpu")
    if asked.only_asks:
        always.add(SIMULATED_LABEL)
    return tuple(
        taint
        for taint in node.taints
        if taint.key not in always and not any(_tolerates(t, taint) for t in asked.placement.tolerations or ())
    )


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.key != taint.key or (toleration.effect is not None and toleration.effect.value != taint.effect):
        return False
    return toleration.operator is TolerationOperator.EXISTS or (toleration.value or "") == taint.value
