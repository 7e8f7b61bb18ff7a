"""The sample rate of all audio, from decoding to the encoders."""

SAMPLE_RATE = 16_000
"""Hertz, mono."""
