"""Fill the shard cache for a corpus, then materialise the stage's outs from it, in the clip table's order."""
