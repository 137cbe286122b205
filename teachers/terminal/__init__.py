"""What every command shares: its arguments, what it prints and where that is kept, the signals that
stop it, and how it ends."""
