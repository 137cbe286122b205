"""Models of other people, rewritten so that they compute the same from fewer bytes."""
