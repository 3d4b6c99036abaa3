# The commands of this repository. `make demo` and `make test` need Debian 12, root and Python 3.11 with venv; or
# Docker and kind.
.PHONY: help demo demo-down cluster-up images test test-unit test-torch test-cluster test-faults lint generate lock
.PHONY: bench accuracy test-torch-beside

# What Python compiles is kept: compiled anew, it takes a quarter of the unit tests' time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON = .venv/bin/python
UV = .venv/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --no-annotate --python-version 3.11 pyproject.toml

# Of all clones: what mypy has found out about torch takes longer than our own files.
MYPY_CACHE = $${WATTMARK_CACHE:-$$HOME/.cache/wattmark}/mypy

ON_THE_CLUSTER = eval "$$(python3 -m tests.cluster env)" && $(PYTHON) -m pytest -q

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: ## everything, from a bare machine to figures
	@python3 -m tests.cluster demo

demo-down: ## takes away all that demo or test started or set
	@python3 -m tests.cluster down

cluster-up: ## the cluster with images and simulated nodes, without the chart
	@python3 -m tests.cluster up

images: ## rebuilds the images whose sources changed
	@python3 -m tests.cluster images

test: lint ## everything: lint, types, unit, torch, then end to end on the real cluster
	@$(MAKE) --no-print-directory test-unit
	@python3 -m tests.cluster up
	@python3 -m tests.cluster install
	@$(MAKE) --no-print-directory -j 2 test-cluster test-torch-beside
	@echo "Skipped tests, if any, are counted and named with their reasons in the summaries above."

# A file's tests in one process: what is remembered of a model they ask about is remembered there.
test-unit: .venv/unit ## no cluster, no torch: the loop to live in
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile tests/unit

test-torch: .venv/full ## the runner and the parameter counts, against the real libraries
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n 2 tests/torch

# The cluster's tests wait for a third of their time. What these take of the processor is what the others leave: a
# deadline there passes no sooner.
test-torch-beside: .venv/full
	@log=$$(mktemp); chrt --idle 0 $(MAKE) --no-print-directory test-torch > $$log 2>&1; status=$$?; \
		echo; cat $$log; rm $$log; exit $$status

test-cluster: .venv/full ## end to end and faults, on the cluster that is up
	@$(ON_THE_CLUSTER) tests/e2e
	@$(MAKE) --no-print-directory test-faults

# Several at once: their Pods do next to nothing, and each has an operator of its own. What is in tests/e2e measures, so
# it runs alone.
test-faults: .venv/full ## the operator killed, its writes spoiled, its Pods taken away, on the cluster that is up
	@$(ON_THE_CLUSTER) -n 2 --dist loadfile tests/faults

lint: .venv/full ## style, types, directions of imports
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy --cache-dir $(MYPY_CACHE)
	@.venv/bin/lint-imports

bench: .venv/full ## prints how fast the operator is, on the cluster that is up
	@python3 -m tests.cluster stages tests/bench/stages/*.yaml
	@eval "$$(python3 -m tests.cluster env)" && $(PYTHON) -m tests.bench; status=$$?; \
		python3 -m tests.cluster stages; exit $$status

accuracy: .venv/unit ## prints how far estimates are from published measurements, and writes it into docs/accuracy.md
	@$(PYTHON) -m tests.accuracy

generate: .venv/unit ## writes the CRDs from the API models
	@$(PYTHON) -m wattmark.crds

lock: .venv/unit ## writes the lock files anew
	@$(subst pyproject.toml,,$(COMPILE)) --group build -o requirements/build.txt
	@$(COMPILE) --all-extras --group dev --group torch -o requirements/dev.txt
	@$(COMPILE) --extra operator --extra cli --group dev -c requirements/dev.txt -o requirements/unit.txt
	@$(COMPILE) --extra operator -c requirements/dev.txt -o requirements/operator.txt
	@$(COMPILE) --extra runner -c requirements/dev.txt -o requirements/runner.txt

.venv/bin/uv: requirements/build.txt
	@python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@touch $@

.venv/unit: .venv/bin/uv requirements/unit.txt pyproject.toml
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements/unit.txt
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/full: .venv/unit requirements/dev.txt
	@$(UV) pip install --quiet --python $(PYTHON) --require-hashes -r requirements/dev.txt
	@touch $@
