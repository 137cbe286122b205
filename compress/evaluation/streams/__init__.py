"""What deployed networks are worth on live poses: clips joined into recordings, answers judged."""
