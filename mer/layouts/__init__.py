"""One file a dataset layout: what lies on disk becomes a clip table."""
