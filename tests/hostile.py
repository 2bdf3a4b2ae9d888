"""Values that no honest file holds, and how to put them into one."""

import copy
import math

DEEP = "[" * 100_000
SHELL = "\x1b]0;owned\x07\x1b[2J"  # what a terminal obeys


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = [
    None,
    True,
    False,
    -1,
    0,
    3,
    2**31,
    2**64,
    10**400,
    -(10**400),
    0.5,
    1e308,
    -1e308,
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
    "",
    ".",
    "3",
    "auto",
    "noise",
    "a\0b",
    "\ud800",
    "\udcff.png",
    SHELL,
    "x" * 5000,
    "x" * 300,
    "9" * 500 + "GB",
    "../" * 2000,
    "/dev/null",
    "/dev/full",
    [],
    [[]],
    {},
    {"": None},
    {"array": "array0"},
    [1, 2],
    [2, 1],
    [True],
    ["a"],
    [{"path": "a"}],
    [0] * 1000,
    nested(200),
]


def places(value, here=()):
    """Return every place in a value of JSON: the names and numbers that lead there."""
    found = [here]
    if isinstance(value, dict | list):
        steps = value if isinstance(value, dict) else range(len(value))
        for step in steps:
            found += places(value[step], (*here, step))
    return found


def changed(value, place, new):
    """Return a copy of ``value`` that holds ``new`` at a place."""
    if not place:
        return new
    value = copy.deepcopy(value)
    inner = value
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = new
    return value


def mutated(value, chance):
    """Return a copy with something odd in it, or something missing, as ``chance`` has it."""
    place = chance.choice([p for p in places(value) if p])
    kind = chance.random()
    if kind < 0.8:
        return changed(value, place, chance.choice(VALUES))
    value = copy.deepcopy(value)
    inner = value
    for step in place[:-1]:
        inner = inner[step]
    if kind < 0.9:
        del inner[place[-1]]
    elif isinstance(inner, dict):
        inner[chance.choice(["brushes", "", "array", "path", SHELL, "__class__"])] = 1
    else:
        inner.append(chance.choice(VALUES))
    return value
