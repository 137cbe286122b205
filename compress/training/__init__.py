"""Training: the loop, its settings, what it minimises, and what it leaves on disk."""
