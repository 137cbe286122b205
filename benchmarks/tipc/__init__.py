"""TIPC, Paddle's test of a whole chain (train, evaluate, export, infer): `chain.py` runs what a
parameters file in `configs/` says, `check.py` counts how it ended."""
