"""Contrastive pretraining of the encoders, without labels."""
