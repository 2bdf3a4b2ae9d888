"""What became of each picture of a batch: ``batch.jsonl`` in its folder, one object a line."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from nst import files, schema
from nst.errors import NstError, brief

NAME = "batch.jsonl"
MOST = 64_000_000  # bytes of it that are read

Status = Literal["painted", "skipped", "failed", "stopped"]


@dataclass(frozen=True)
class Record:
    """One picture; what `--json` prints and ``batch.jsonl`` holds."""

    content: str  # the photograph's path
    style: list[str]  # the paintings'; of ours the name
    output: str | None  # where the picture is, or would be
    status: Status  # skipped: it was there already
    seconds: float = 0.0  # that painting took
    losses: dict[str, float] | None = None  # raw, of the last step
    error: str | None = None  # the line that said why it failed

    def as_line(self) -> str:
        """Return it as one line of JSON, in ASCII; what is not finite is null."""
        told = asdict(self)
        if self.losses is not None:
            told["losses"] = {
                n: v if abs(v) < float("inf") else None for n, v in self.losses.items()
            }
        return json.dumps(told, allow_nan=False)


class _Known(msgspec.Struct):
    """What of an earlier line is needed: the rest of it is kept as it is."""

    output: str | None
    status: str


class Journal:
    """The file in a batch's ``folder``: each picture has one line, that of its last try.

    There a picture is called by its path in that folder, which may be moved.  Raises NstError for
    a file of this name that is something else; it is left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / NAME
        self._lines = self._read()

    def begin(self, outputs: Iterable[Path]) -> None:
        """Forget the last try of each of ``outputs``: they are painted now."""
        for output in outputs:
            self._lines.pop(self._name(output), None)
        with files.replace_atomically(self.path) as file:
            file.write("".join(line + "\n" for line in self._lines.values()).encode())

    def knows(self, output: Path) -> bool:
        """Return whether there is a line about ``output``."""
        return self._name(output) in self._lines

    def add(self, record: Record) -> None:
        """Write one line at the end."""
        name = None if record.output is None else self._name(Path(record.output))
        line = replace(record, output=name).as_line()
        self._lines[str(name)] = line
        try:
            with self.path.open("a", encoding="ascii") as file:
                file.write(line + "\n")
        except OSError as error:
            raise files.unwritable(self.path, error) from error

    def _name(self, output: Path) -> str:
        return output.relative_to(self._folder).as_posix()

    def _read(self) -> dict[str, str]:
        """Return the lines about pictures, by output; without a last one that was cut short."""
        if not os.path.lexists(self.path):
            return {}
        files.refuse_what_is_no_file(self.path)
        try:
            with self.path.open("rb") as file:
                text = file.read(MOST + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = (getattr(error, "strerror", None) or brief(error)).lower()
            raise NstError(f"cannot use {self.path}: {reason}; move it away.") from error
        if len(text) > MOST:
            raise NstError(f"{self.path} is larger than {MOST} bytes; move it away.")
        lines: dict[str, str] = {}
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            what = f"line {number} of {self.path}"
            try:
                known = schema.convert(schema.parse_json(line, what), _Known, what)
            except NstError as error:
                raise NstError(f"{error} Move the file away: nst batch writes its own.") from None
            if known.output is not None:
                lines[known.output] = line
        return lines
