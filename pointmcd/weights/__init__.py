"""Which weights are there, and where do they come from? The shipped files lie here too."""
