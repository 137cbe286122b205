"""What every command shares: its arguments, the signals that stop it, and how it ends."""
