"""In which order a workload asks for memory, and what PyTorch's caching allocator takes from the device for it."""
