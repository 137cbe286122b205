"""Live poses on the command line and over the network. The following itself is `export.serve`, trials on
recordings are `compress.evaluation.streams`."""
