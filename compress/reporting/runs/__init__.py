"""Several runs on one page: side by side, and the list of all that a folder holds."""
