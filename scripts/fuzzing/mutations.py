"""Bytes and values made wrong in every way that files are: what all kinds of cases draw from."""

import copy
import json
import math
import random
import struct
from collections.abc import Callable
from typing import Any

NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 17, 100, 127, 128, 255, 256, 32767, 32768, 65535, 65536)
LARGE = (10**6, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (b"\0", b"\xff", b"%s%n", b"../", b"\x1b[31m", b"\r\n", b"\xc0\x80", b"NaN", b"{}", b"[")


def damaged(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """Return ``data`` after one to eight random changes; ``other`` is what is spliced in."""
    changed = bytearray(data)
    for _ in range(min(8, 1 + int(rng.expovariate(1)))):
        rng.choice(_CHANGES)(rng, changed, other or data)
    return bytes(changed)


def place(rng: random.Random, length: int) -> int:
    """Return a position below ``length``, as often near the start, where headers are, as not."""
    if rng.random() < 0.5:
        return min(int(rng.expovariate(1 / 40)), max(0, length - 1))
    return rng.randrange(max(1, length))


def _flip_bit(rng: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[place(rng, len(data))] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, data: bytearray, other: bytes) -> None:
    if data:
        data[place(rng, len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_number(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Write a number as files have them: of one to eight bytes, either byte first."""
    code = rng.choice("BHIQ")
    value = rng.choice(NUMBERS + LARGE) % 256 ** struct.calcsize("=" + code)
    packed = struct.pack(rng.choice("<>") + code, value)
    start = place(rng, len(data))
    data[start : start + len(packed)] = packed


def _truncate(rng: random.Random, data: bytearray, other: bytes) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(rng: random.Random, data: bytearray, other: bytes) -> None:
    start = place(rng, len(data))
    del data[start : start + 1 + int(rng.expovariate(1 / 20))]


def _repeat(rng: random.Random, data: bytearray, other: bytes) -> None:
    start = place(rng, len(data))
    data[start:start] = data[start : start + 1 + int(rng.expovariate(1 / 50))]


def _insert(rng: random.Random, data: bytearray, other: bytes) -> None:
    start = place(rng, len(data))
    data[start:start] = rng.choice((*WORDS, rng.randbytes(rng.randrange(1, 40))))


def _splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    """Go on with a piece of ``other``, or all the rest of it."""
    start, there = place(rng, len(data)), place(rng, len(other))
    length = rng.choice((len(other), 1 + int(rng.expovariate(1 / 60))))
    piece = other[there : there + length]
    data[start : start + len(piece)] = piece


_Change = Callable[[random.Random, bytearray, bytes], None]
_CHANGES: tuple[_Change, ...] = (
    _flip_bit,
    _flip_bit,
    _set_byte,
    _set_number,
    _set_number,
    _truncate,
    _remove,
    _repeat,
    _insert,
    _splice,
)


# --- Values of JSON, TOML and Python ----------------------------------------------------------

TEXTS = (
    "",
    " ",
    "auto",
    "none",
    "nan",
    "inf",
    "1e999",
    "0x10",
    "true",
    "../../etc/passwd",
    "/",
    ".",
    "/nowhere/out.png",
    "https://example.com/a.png",
    "a\nb.png",
    "\x1b[2J\x1b[31mred.png",
    "\x00",
    "\u202egnp.exe",
    "\ud800",
    "\N{SNOWMAN}.png",
    "%s%n",
    "$title",
    "<script>alert(1)</script>",
    "x" * 300 + ".png",
    "x" * 5000,
    "-o",
)
PLAIN_TEXTS = tuple(text for text in TEXTS if "\ud800" not in text)  # that are UTF-8


def value(rng: random.Random, depth: int = 0) -> Any:
    """Return something that JSON can hold and hardly anyone expects."""
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.choice((1, -1)) * rng.choice(NUMBERS + LARGE + (10**30, 10**400))
    if kind == 2:
        return rng.choice((0.0, -0.0, 0.5, 1.5, 1e-320, 1e308, -1e308))
    if kind == 3:
        return rng.choice((float("nan"), float("inf"), float("-inf")))
    if kind in (4, 5):
        return rng.choice(TEXTS)
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {rng.choice(TEXTS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    nested: Any = value(rng, 3)
    for _ in range(rng.choice((10, 100, 300))):
        nested = rng.choice((lambda inner: [inner], lambda inner: {"a": inner}))(nested)
    return nested


def altered(rng: random.Random, tree: Any, often: float = 0.6) -> Any:
    """Return a JSON tree with a few places in it made wrong: another value, or none, or more."""
    changed = copy.deepcopy(tree)
    for _ in range(min(6, 1 + int(rng.expovariate(often)))):
        holders = _holders(changed)
        if not holders:
            return value(rng)
        holder = rng.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = rng.choice(keys)
        what = rng.random()
        if what < 0.7:
            holder[key] = near(rng, holder[key])
        elif what < 0.85:
            del holder[key]
        elif isinstance(holder, dict):
            holder[rng.choice((*TEXTS, *map(str, keys)))] = value(rng)
        else:
            holder.insert(key, value(rng))
    return changed


def near(rng: random.Random, old: Any) -> Any:
    """Return another value: of the same kind as ``old`` as often as of any."""
    if isinstance(old, bool) or rng.random() < 0.5:
        return value(rng)
    if isinstance(old, int):
        return rng.choice((old + 1, old - 1, -old, float(old), str(old), old * 10**6, [old]))
    if isinstance(old, float):
        return rng.choice(
            (-old, old * 1e30, str(old), [old], int(old) if math.isfinite(old) else 0)
        )
    if isinstance(old, str):
        return rng.choice((old + rng.choice(TEXTS), old[:-1], old.upper(), [old], {old: old}))
    return value(rng)


def _holders(tree: Any) -> list[Any]:
    """Return every dict and list in ``tree`` that is not empty."""
    found, left = [], [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict | list) and one:
            found.append(one)
            left += one.values() if isinstance(one, dict) else one
    return found


def as_json(rng: random.Random, tree: Any) -> str:
    """Return the JSON text of ``tree``, as a rule; at times one that only looks like it."""
    try:
        text = json.dumps(tree, ensure_ascii=rng.random() < 0.8)
    except (RecursionError, ValueError):  # deeper, or with more digits, than Python itself allows
        text = "[" * 2000
    trick = rng.random()
    if trick < 0.03:
        return "\ufeff" + text
    if trick < 0.06:
        return text.replace(":", ": " + "[" * 100_000, 1)
    if trick < 0.09:
        return text.replace("1", "1" * 5000, 1)
    if trick < 0.12:
        return damaged(rng, text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    if trick < 0.14:
        return text[:-1] + "," + text[1:]  # every name twice
    return text
