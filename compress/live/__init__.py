"""Live poses on the command line and over the network, and what a deployed folder is worth on long
recordings. The following itself is `export.serve`."""
