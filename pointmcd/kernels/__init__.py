"""Which work has kernels of its own on a GPU? Triton, tested in its interpreter and compiled; not yet timed."""
