"""Which networks are there? Encoders of points, heads that read them, and teachers that look at images."""
