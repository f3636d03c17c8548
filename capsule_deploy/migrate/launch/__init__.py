"""From a process of the old host to a service of a capsule: its program, arguments, variables and ports."""
