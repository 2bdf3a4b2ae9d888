"""A GIF whose images say nothing of their time: FFmpeg would run such images together into one.

Each image may have a block before it, the graphic control extension, that says how long it stands.
Those that have none are given one; see CompuServe, *Graphics Interchange Format* (1990), 23.
"""

CONTROL = b"\x21\xf9\x04\0\0\0\0\0"  # no delay: as long as FFmpeg then lets it stand
EXTENSION, IMAGE = 0x21, 0x2C  # what blocks begin with


def with_delays(data: bytes) -> bytes:
    """Return a GIF each of whose images has a block that tells of its time.

    Where ``data`` are damaged, the rest is as it was.
    """
    place = 13 + _colours(data, 10)  # behind the header and the colours of all images
    parts, kept, controlled = [data[:place]], place, False
    while place < len(data) and data[place] in (EXTENSION, IMAGE):
        if data[place] == EXTENSION:
            controlled |= data[place + 1 : place + 2] == b"\xf9"
            place = _behind_blocks(data, place + 2)
            continue
        if not controlled:
            parts += [data[kept:place], CONTROL]
            kept = place
        place = _behind_blocks(data, place + 10 + _colours(data, place + 9) + 1)
        controlled = False
    return b"".join([*parts, data[kept:]])


def _colours(data: bytes, place: int) -> int:
    """Return the bytes of the table of colours that the flags at ``place`` announce."""
    flags = data[place] if place < len(data) else 0
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _behind_blocks(data: bytes, place: int) -> int:
    """Return where a row of blocks ends that begins at ``place``: behind an empty one."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1
