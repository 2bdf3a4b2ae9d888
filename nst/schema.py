"""Text that comes from outside, through one door: a picture's settings, a checkpoint, a table.

It is JSON or TOML, and what it holds must have the types that a schema gives: a dataclass whose
fields have types, or a msgspec Struct.  Whatever is wrong with it is an NstError of one line.
Whether a number is in its range is for those who know the range: see `settings.Settings`.
"""

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Union, get_type_hints

import msgspec

from nst.errors import NstError, brief
from nst.values import as_path, shown

MOST_CHARACTERS = 250_000  # of a picture's settings
MOST_OF_A_TABLE = 10_000  # characters; parsing TOML takes the square of the time


def parse_json(text: str, what: str, most: int = MOST_CHARACTERS) -> Any:
    """Return what the JSON ``text`` holds: ``what`` is its name in the NstError if it is none.

    A byte-order mark may stand before it.  A name that is there twice is refused.
    """
    return _parsed(lambda: json.loads(_plain(text, most), object_pairs_hook=_once), "JSON", what)


def parse_toml(data: bytes, what: str, most: int = MOST_OF_A_TABLE) -> dict[str, Any]:
    """Return what a TOML file holds; see `parse_json`."""
    return _parsed(lambda: tomllib.loads(_plain(data.decode(), most)), "TOML", what)


def convert(value: Any, kind: Any, what: str) -> Any:
    """Return ``value``, of what was parsed, as ``kind``; NstError says where it does not fit."""
    try:
        return msgspec.convert(value, kind, dec_hook=_convert_other)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
        raise NstError(f"{what} cannot be used: {_said(error)}.") from None


def record(kind: type, **instead: Any) -> type[msgspec.Struct]:
    """Return the schema of a dataclass as text; ``instead`` are other types for fields of it.

    What has a default may be missing; see `given`.
    """
    hints = get_type_hints(kind) | instead
    names = [
        (field.name, hints[field.name])
        if field.default is MISSING
        else (field.name, Union[hints[field.name], msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007
        for field in fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, names, kw_only=True, forbid_unknown_fields=True)


def given(record: msgspec.Struct) -> dict[str, Any]:
    """Return the values that a text gives, by name."""
    values = msgspec.structs.asdict(record)
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _plain(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(f"it has {len(text)} characters, more than {most}")
    return text.removeprefix("\N{BYTE ORDER MARK}")


def _parsed(parse: Any, language: str, what: str) -> Any:
    try:
        return parse()
    except RecursionError:
        reason = "brackets are nested too deep"
    except ValueError as error:  # of the syntax, of the text's encoding, of numbers too long
        reason = brief(error)
    raise NstError(f"{what} is not {language}: {reason}; mend it.")


def _once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in items:
        if name in found:
            raise ValueError(f"{name!r} is there twice")
        found[name] = value
    return found


def _convert_other(kind: type, value: Any) -> Any:
    """Convert what msgspec leaves to us."""
    if isinstance(value, kind):
        return value
    if kind is Path and isinstance(value, str):
        path = as_path(value)
        if path is None:
            raise ValueError(f"Expected a path, got {shown(value)}")
        return path
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _said(error: Exception) -> str:
    """Return what msgspec says as "size: expected int, got str"."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeError):
        return "it has a name with half a character in it"
    reason, _, place = brief(error).partition(" - at ")
    where = re.sub(r"^\$\.?", "", place.strip("`"))
    reason = (reason[:1].lower() + reason[1:]).replace("`", "")
    return f"{where}: {reason}" if where else reason
