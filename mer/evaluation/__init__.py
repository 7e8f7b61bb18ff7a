"""Weighted-F1 and kin, bootstrap intervals, plots, submission."""
