"""Pretrained weights from the ordinary package registries: fetched, checked, converted, with their origin."""
