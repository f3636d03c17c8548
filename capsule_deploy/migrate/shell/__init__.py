"""Scripts that start services: their syntax, and what they come to. Nothing is executed."""
