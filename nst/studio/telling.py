"""What a page is told: JSON that every browser reads, whatever the names and numbers in it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from nst import memory
from nst.errors import NstError, brief, of_system, with_notes


class Told(JSONResponse):
    """An answer in JSON; see `text_of`."""

    def render(self, content: Any) -> bytes:
        """Return the bytes that are sent."""
        return text_of(content).encode("ascii")


def text_of(told: Any) -> str:
    """Return JSON in ASCII: names may hold bytes that are no text; what is not finite is null."""
    try:
        return json.dumps(told, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(told), allow_nan=False)


def _finite(told: Any) -> Any:
    if isinstance(told, Mapping):
        return {name: _finite(value) for name, value in told.items()}
    if isinstance(told, list | tuple):
        return [_finite(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told


def said_of(error: BaseException) -> str:
    """Return what a person is told of an error, with what became of the picture."""
    if memory.ran_out(error):
        said = "memory ran out; paint it smaller, or close what else is open."
    elif isinstance(error, NstError):
        said = str(error)
    elif isinstance(error, OSError):
        said = of_system(error)
    else:
        said = f"a bug of nst: {brief(repr(error))}"
    return with_notes(error, said)
