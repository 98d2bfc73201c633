"""What does a network learn to do? Losses of each task."""
