"""Map a function over clips: local processes, or Ray."""
