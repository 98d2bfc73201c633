"""Which points lie near, and which stand for all? Neighbours, sampling, grouping."""
