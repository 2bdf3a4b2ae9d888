"""What may cross to a worker: plain data, and names of functions."""

import pickletools

import numpy as np
from distributed.protocol import pickle as protocol


def check_plain(data):
    """Raise unless ``data`` are text, bytes, numbers and arrays, in lists and dicts."""
    if isinstance(data, dict):
        check_plain([*data, *data.values()])
    elif isinstance(data, list | tuple):
        for one in data:
            check_plain(one)
    else:
        assert type(data) in (str, bytes, int, float, bool, type(None), np.ndarray), type(data)


def globals_that_cross(monkeypatch):
    """Return a list that grows by the names that unpickling imports, of all that is pickled."""
    seen = []

    def watch(name):
        real = getattr(protocol, name)

        def watched(*given, **more):
            result = real(*given, **more)
            seen.extend(_globals_in(result if name == "dumps" else given[0]))
            return result

        monkeypatch.setattr(protocol, name, watched)

    watch("dumps")
    watch("loads")
    return seen


def _globals_in(pickled):
    strings, found = [], []
    for code, argument, _ in pickletools.genops(bytes(pickled)):
        if isinstance(argument, str):
            strings.append(argument)
        if code.name == "STACK_GLOBAL":
            found.append(".".join(strings[-2:]))
        elif code.name == "GLOBAL":
            found.append(argument.replace(" ", "."))
    return found
