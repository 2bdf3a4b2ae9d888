"""More pictures than one: folders, lists and contact sheets.  It knows of runs, and of show/."""
