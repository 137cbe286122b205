"""Fewer bits: ranges of activations, levels of weights, and the network that computes as it is
deployed."""
