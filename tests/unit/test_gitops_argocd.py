"""The health scripts for Argo CD, run by a real Lua on the statuses that they will meet."""

from pathlib import Path
from typing import Any

import lupa
import pytest

GITOPS = Path(__file__).parents[2] / "docs" / "gitops"
SAYS = "what the operator says"


def _object(generation: int = 1, **conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": status, "message": SAYS} for kind, status in conditions.items()]
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": 1, "conditions": listed}}


def _health(script: str, seen: dict[str, Any]) -> tuple[str, str]:
    runtime = lupa.LuaRuntime()
    runtime.globals()["obj"] = runtime.table_from(seen, recursive=True)
    answer = runtime.execute((GITOPS / f"argocd-{script}.lua").read_text(encoding="utf-8"))
    return answer["status"], answer["message"]


UNSEEN = {"metadata": {"generation": 1}}


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        pytest.param(UNSEEN, "Progressing", id="no status yet is no health"),
        pytest.param({**UNSEEN, "status": {}}, "Progressing", id="nor is an empty one"),
        pytest.param(_object(2, Complete="True"), "Progressing", id="an older generation's status does not count"),
        pytest.param(_object(Accepted="True", Running="True", Ready="False"), "Progressing", id="a run goes on"),
        pytest.param(_object(Suspended="True", Ready="False"), "Suspended", id="a suspended run says so"),
        pytest.param(_object(Failed="True", Stalled="True", Ready="False"), "Degraded", id="a failed run is degraded"),
        pytest.param(_object(Complete="True", Suspended="False", Ready="True"), "Healthy", id="figures are health"),
    ],
)
def test_health_of_a_benchmark_job(seen: dict[str, Any], status: str) -> None:
    assert _health("benchmarkjob", seen)[0] == status


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        pytest.param(UNSEEN, "Progressing", id="no status yet is no health"),
        pytest.param(_object(2, Ready="True"), "Progressing", id="an edited question is not answered yet"),
        pytest.param(_object(Reconciling="True", Ready="False"), "Progressing", id="it is being evaluated"),
        pytest.param(_object(Evaluated="True", Fits="False", Ready="True"), "Healthy", id="no is an answer too"),
        pytest.param(_object(Ready="False", Stalled="True"), "Degraded", id="what was required is not met"),
    ],
)
def test_health_of_a_model_check(seen: dict[str, Any], status: str) -> None:
    assert _health("modelcheck", seen)[0] == status


def test_the_message_is_the_operators_own() -> None:
    assert _health("benchmarkjob", _object(Failed="True"))[1] == SAYS
    assert _health("modelcheck", _object(Stalled="True"))[1] == SAYS
