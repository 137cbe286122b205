"""One file a file format: how a flat network is written, and with which precision."""
