"""What does a visitor see, and what answers each touch? One room a question; `build.py` puts them together."""
