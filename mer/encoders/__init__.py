"""Speech, face and text encoders behind one protocol."""
