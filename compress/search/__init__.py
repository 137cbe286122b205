"""`featherbone search`: the best small networks that keep given limits, found within a given time."""
