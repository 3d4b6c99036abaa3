"""The GPUs of a cluster, read from Node objects and named node types: no request, no guess."""
