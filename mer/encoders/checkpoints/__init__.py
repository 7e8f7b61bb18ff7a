"""Model folders and checkpoints of others: what they may hold, and how they are read without running any of it."""
