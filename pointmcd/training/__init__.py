"""How do data become weights? Recipes, the loop, whole experiments."""
