"""What a run looks like: plots, and a page.  It knows of runs; nothing below knows of it."""
