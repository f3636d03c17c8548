"""systemd's units: how they are read, which processes they start, what becomes of each of their lines."""
