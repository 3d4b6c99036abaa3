"""The layout holds: source roots that are no packages, tests beside modules, layers, sizes."""

import ast
import operator
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE, RUNNER = ROOT / "operator" / "wattmark", ROOT / "runner_image" / "wattmark_runner"
UNIT = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
# Modules that only a cluster, a process or the models' own tests can try; each with where that is done.
TRIED_ELSEWHERE = {
    "__main__": "tests/e2e",
    "handlers": "tests/e2e, tests/faults",
    "reconcile_benchmark": "tests/e2e, tests/faults",
    "reconcile_check": "tests/e2e, tests/faults",
    "reconcile_jobs": "tests/e2e, tests/faults",
    "reconcile_pods": "tests/e2e, tests/faults",
    "reconcile_reconciler": "tests/e2e, tests/faults",
    "reconcile_stored": "tests/e2e, tests/faults",
    "reconcile_tracing": "tests/e2e, tests/faults",
    "reconcile_writer": "tests/e2e, tests/faults",
    "api_analysis": "test_api_workload, test_models_resolve",
    "api_answers": "test_crds, test_decide_check",
    "api_fallback": "test_fit_fallbacks",
    "api_figures": "test_crds, test_runner_report",
    "api_model": "test_api_workload",
    "api_order": "test_manifests",
    "api_placement": "test_api_workload",
    "api_runtime": "test_models_resolve",
    "api_sample": "test_models_resolve",
    "api_trace": "test_runner_report, test_decide_acceptance",
    "api_training": "test_models_resolve",
    "cli_local_runner": "tests/torch/test_run_command",
    "cluster_client": "test_client",
    "cluster_reflector": "test_reflector",
    "decide_draft": "test_decide_benchmark",
    "decide_plan": "test_decide_benchmark",
    "fit_landing": "test_fit_checks, test_fit_verdicts",
    "fit_proposal": "test_fit_moves, test_fit_fallbacks",
    "preflight_comparison": "test_preflight_check, test_preflight_benchmark",
    "preflight_fleet": "test_preflight_benchmark, test_fleet_nodes",
    "preflight_verdict": "test_preflight_check, test_preflight_benchmark",
    "manifests_pod": "test_manifests_run, test_manifests_trace",
}
SOURCES = sorted(p for root in (PACKAGE, RUNNER) for p in root.rglob("*.py") if p.name != "__init__.py")


def test_the_source_roots_are_no_packages() -> None:
    """An operator/__init__.py would stand in for Python's own module and break every Python started here."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "runner_image" / "__init__.py").exists()
    assert operator.itemgetter(0)("x") == "x"


def test_python_started_in_the_root_finds_its_own_operator() -> None:
    command = [sys.executable, "-c", "import operator; print(operator.itemgetter(0)('x'))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "x\n"


def module(path: Path) -> str:
    """A module's name as its test would have it: wattmark.decide.ended is decide_ended."""
    return "_".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_every_module_has_a_test_of_its_name_or_says_where_it_is_tried() -> None:
    for name in (module(path) for path in SOURCES if path.is_relative_to(PACKAGE)):
        package = name.split("_")[0]
        # Models and estimates are one formula in many files: tests are by family and phase.
        tried = any(t.startswith(f"test_{package}_") for t in UNIT) if package in ("estimate", "models") else False
        assert tried or name in TRIED_ELSEWHERE or f"test_{name}" in UNIT, f"write tests/unit/test_{name}.py"


def test_no_exception_outlives_its_reason() -> None:
    names = {module(path) for path in SOURCES if path.is_relative_to(PACKAGE)}
    assert set(TRIED_ELSEWHERE) <= names
    assert not {name for name in TRIED_ELSEWHERE if f"test_{name}" in UNIT}


def test_imports_go_the_way_they_are_meant_to() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PACKAGE.parent), str(RUNNER.parent)))}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_files_and_functions_stay_small_enough_to_read() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, path
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, FUNCTIONS)]
        long = [f.name for f in functions if f.end_lineno is not None and f.end_lineno - f.lineno >= 60]
        assert long == [], path
