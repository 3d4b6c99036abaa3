# The commands of this repository. `make demo` needs Debian 12, root and Python 3.11 with venv; or Docker and kind.
.PHONY: demo demo-down cluster-up images

demo: ## everything, from a bare machine to figures
	@python3 -m tests.cluster demo

demo-down: ## takes away all that demo started or set
	@python3 -m tests.cluster down

cluster-up: ## the cluster with images and simulated nodes, without the chart
	@python3 -m tests.cluster up

images: ## rebuilds the images whose sources changed
	@python3 -m tests.cluster images
