"""What the application's directory holds: what is not part of it, what it writes, what ties it to the old host."""
