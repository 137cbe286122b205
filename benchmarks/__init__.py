"""Measurements, each a script that prints a table and, as its last line of stdout, JSON. `results/`
keeps what was measured."""

import teachers  # noqa: F401  (prepares the process for Paddle)
