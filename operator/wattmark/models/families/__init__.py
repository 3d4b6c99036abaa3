"""One module for each group of models that are built alike; each reads a configuration into an Architecture."""
