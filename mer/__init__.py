"""Multimodal emotion recognition from short video clips, as one reproducible pipeline."""

__version__ = "0.1.0"
