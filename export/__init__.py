"""From a trained network to files a runtime serves, each compared with the network it came from."""

import teachers  # noqa: F401  (prepares the process for Paddle)
