"""A demand compared with node types: named checks, the verdict, and what would make it fit."""
