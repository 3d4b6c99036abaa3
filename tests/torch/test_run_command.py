"""`wattmark run` on this machine: one small model from its manifest to the status that the operator would write."""

import json
import os
import subprocess
import sys
from pathlib import Path

from wattmark.api.benchmarkjob import BenchmarkJobStatus

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "vocab_size": 97, "max_position_embeddings": 64,
}  # fmt: skip
MANIFEST = {
    "apiVersion": "wattmark.dev/v1alpha1",
    "kind": "BenchmarkJob",
    "metadata": {"name": "small"},
    "spec": {
        "model": {"id": "small", "source": {"type": "Inline", "inline": {"config": json.dumps(CONFIG)}}},
        "resources": {"gpusPerNode": 0},
        "measure": {"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2},
    },
}


def test_a_run_ends_with_figures_and_says_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(MANIFEST), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((f"{ROOT / 'operator'}", f"{ROOT / 'runner_image'}"))}
    command = [sys.executable, "-c", "import sys; from wattmark.cli.command import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "run", "-f", str(file), "-o", "json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    status = BenchmarkJobStatus.read(shown["status"])
    assert shown["metadata"] == {"name": "small"} and status.phase is not None and status.phase.value == "Completed"
    assert status.results is not None and status.results.iterations >= 2
    assert status.results.memory.host_peak_bytes is not None
    assert {u.field for u in status.unavailable} >= {"energy.gpuJoules"}
    assert [a.outcome for a in status.attempts] == ["Succeeded"]
