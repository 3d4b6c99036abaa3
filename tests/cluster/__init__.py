"""A real Kubernetes cluster for tests and the demo, from package registries alone.

Standard library only: it runs before any virtual environment exists.
"""
