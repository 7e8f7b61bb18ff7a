"""Shard cache (atomic, content-keyed, incremental), utterance tables and frame tensors."""
