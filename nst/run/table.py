"""A history as a table of comma-separated values."""

import csv
from collections.abc import Mapping
from typing import TextIO


class Table:
    """Rows of a history; where a fine stage begins, its columns are told: it has other losses."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._columns: list[str] = []

    def write(self, entry: Mapping[str, float]) -> None:
        """Write one row, below the names of its columns if they are new."""
        writer = csv.DictWriter(self._file, list(entry))
        if list(entry) != self._columns:
            self._columns = list(entry)
            writer.writeheader()
        writer.writerow(entry)
