"""Folds, sampling, pretraining, self-training, calibration."""
