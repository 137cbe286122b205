"""The process around the work: terminal, device, Ctrl-C."""
