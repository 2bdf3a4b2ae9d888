"""The rooms of ``fuzz.py``: cases that are drawn, processes that run them, and what counts."""
