"""Pictures of an Analysis: figures and the page's linked viewer. No torch, no model, no number computed twice."""
