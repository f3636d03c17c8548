"""What is said of a finished capsule: where it comes from, and what is in it."""
