"""Accuracy: counted in samples, in order, nothing dropped."""
