"""What pretraining and self-training share: features, how they are standardised, tensors on disk, determinism."""
