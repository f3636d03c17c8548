"""supervisor's configuration: how it is read, which processes it starts, what becomes of its options."""
