"""A bundle behind a page and a JSON API: `mer serve`."""
