"""Films: read, followed along their motion, painted, written.  It knows of runs, and of many/."""

TEMPORAL = 2000.0  # how much a frame keeps of those before it: see painting.py
