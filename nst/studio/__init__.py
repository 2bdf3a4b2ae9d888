"""Pages to look at in a browser: painted in, learned from; served to this machine alone."""
