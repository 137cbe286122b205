"""The process around the work: progress, device, locks, the user's folders."""
