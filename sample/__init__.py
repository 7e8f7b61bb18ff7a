"""The embedded corpus: short synthetic clips in the MER2024 layout, and the tiny HuBERT trained on their speech."""
