"""Files to arrays and back: bytes <-> (3, H, W) float32 RGB in [0, 1], and colours.

It knows of files and memory; nothing of networks, settings or runs.
"""
