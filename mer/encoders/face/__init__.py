"""From frames to a face embedding: detect, choose the speaker's track, align, crop, encode."""
