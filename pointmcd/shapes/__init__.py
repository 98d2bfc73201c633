"""How does a file become a clean cloud? Read, turned upright, sampled."""
