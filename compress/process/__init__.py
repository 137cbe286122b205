"""The process around the work: terminal, device, locks, the user's folders."""
