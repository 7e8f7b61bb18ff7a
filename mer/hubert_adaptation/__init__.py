"""Masked prediction of hidden units: HuBERT trained from nothing, or on a corpus' own speech, without labels."""
