"""A trained bundle on new files: the way of training from decoding to the vote, many files at a time."""
