# NOTE to the data helper: the owner overwrote your ntu.py by accident at 21:50. Please write your own version here again.
