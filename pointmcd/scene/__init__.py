"""What do cameras see of a cloud? Rigs, renders, visibility."""
