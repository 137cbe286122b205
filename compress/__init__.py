"""From a recipe to a verified, budgeted deployable. `run.py` is the command, `cli` all of them,
`api.py` the same by hand, `pipeline.py` the order of work."""

import teachers  # noqa: F401  (prepares the process for Paddle)

# The one place of the version: pyproject.toml reads it from here, without importing anything, so a
# checkout that was never installed knows it too.
__version__ = "0.1.0"
