"""From a recipe to a verified, budgeted deployable. `run.py` is the command, `pipeline.py` the
order of work."""

import teachers  # noqa: F401  (prepares the process for Paddle)
