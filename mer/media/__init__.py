"""Probe and decode audio and frames, behind the sandbox that hostile files meet."""
