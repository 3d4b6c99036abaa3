"""What preflight stops comes with patches that make it run; and the operator's answer is that of the command line."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import Tool
from tests.e2e.reach import Body
from tests.e2e.space import OURS, TINY, Space, benchmark, condition, holds, tiny

from wattmark.api.schema import API_VERSION
from wattmark.cli.command import main

pytestmark = pytest.mark.slow

CONFIG = json.dumps({**TINY, "num_attention_heads": 32})
CHECK = "parity"


def crowded(**changes: object) -> Body:
    """On a CPU, with attention scores kept: far more than its memory limit, and with fused attention less."""
    source = {"type": "Inline", "inline": {"config": CONFIG}}
    inference = {"batchSizePerDevice": 5700, "input": {"text": {"inputTokens": 64}}}
    return tiny(
        model={"id": "tiny", "source": source},
        workload={"type": "Inference", "inference": inference},
        runtime={"attention": "Eager"},
        resources={"gpusPerNode": 0, "cpu": "1", "memory": "2200Mi"},
        **changes,
    )


def test_a_run_that_preflight_stops_runs_with_the_first_patch(space: Space, kubectl: Tool, tmp_path: Path) -> None:
    space.start("stopped", crowded())
    stopped = space.end("stopped")
    assert condition(stopped, "Failed")["reason"] == "DoesNotFit"
    assert "job" not in stopped["status"]
    first = stopped["status"]["fallbacks"][0]
    print(f"\n{condition(stopped, 'Failed')['message']}\n{first['patch']}")
    manifest = tmp_path / "patched.json"
    manifest.write_text(json.dumps(benchmark("patched", crowded())))
    patch = ("--local", "--type=merge", f"--patch={first['patch']}", "--output=json")
    kubectl(
        "create",
        "--namespace",
        space.namespace,
        "--filename=-",
        stdin=kubectl("patch", f"--filename={manifest}", *patch),
    )
    assert holds(space.end("patched"), "Complete")


def test_a_run_that_may_be_adapted_runs_and_says_with_what(space: Space) -> None:
    space.start("adapted", crowded(preflight={"policy": "Adapt"}))
    done = space.end("adapted")
    status = done["status"]
    assert holds(done, "Complete"), status["conditions"]
    assert status["adaptation"]["changes"] == ["Attention"] and status["adaptation"]["changesResult"] is False
    assert status["resolved"]["attention"] != "Eager" and status["environment"]["attention"] == "sdpa"
    assert done["spec"]["runtime"]["attention"] == "Eager"


def test_the_command_line_answers_as_the_operator_does(
    space: Space, kubectl: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{OURS}/namespaces/{space.namespace}/modelchecks"
    workload = {"type": "Inference", "inference": {"batchSizePerDevice": 64}}
    spec = {"model": {"id": "meta-llama/Llama-3.1-8B"}, "workload": workload}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "ModelCheck",
        "metadata": {"name": CHECK},
        "spec": spec,
    }
    space.api.create(path, manifest)
    kubectl("wait", "--namespace", space.namespace, f"modelcheck/{CHECK}", "--for=condition=Evaluated", "--timeout=60s")
    (tmp_path / "check.yaml").write_text(yaml.safe_dump(manifest))
    (tmp_path / "nodes.yaml").write_text(kubectl("get", "nodes", "--output=yaml"))
    (tmp_path / "pods.yaml").write_text(kubectl("get", "pods", "--all-namespaces", "--output=yaml"))
    of_operator = (space.api.get(f"{path}/{CHECK}") or {})["status"]
    arguments = [f"--{name}={tmp_path / name}.yaml" for name in ("nodes", "pods")]
    main(["check", f"--file={tmp_path / 'check.yaml'}", *arguments, "--output=json"])
    of_command = json.loads(capsys.readouterr().out)["status"]
    assert of_operator["nodeTypes"] and of_operator["need"]
    for status in (of_operator, of_command):
        del status["evaluationTime"]
        for said in status["conditions"]:
            del said["lastTransitionTime"]
    assert of_command == of_operator
