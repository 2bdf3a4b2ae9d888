"""Neural style transfer, written so that every number can be stepped through.

import nst
result = nst.stylize("photograph.jpg", "painting.jpg", size=512)
result.save("out.png")
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst.api import paint, resume, stylize
    from nst.errors import NstError, NstWarning
    from nst.film.video import video
    from nst.many.batch import batch
    from nst.many.sheet import sheet
    from nst.run.records import Progress
    from nst.settings import Painting, Settings
    from nst.stylize import Result, Run
    from nst.version import VERSION as __version__

__all__ = [
    "NstError",
    "NstWarning",
    "Painting",
    "Progress",
    "Result",
    "Run",
    "Settings",
    "__version__",
    "batch",
    "paint",
    "resume",
    "sheet",
    "stylize",
    "video",
]

_HOMES = {  # imported when they are asked for: so help comes before NumPy has been loaded
    "NstError": "nst.errors:NstError",
    "NstWarning": "nst.errors:NstWarning",
    "Painting": "nst.settings:Painting",
    "Progress": "nst.run.records:Progress",
    "Result": "nst.stylize:Result",
    "Run": "nst.stylize:Run",
    "Settings": "nst.settings:Settings",
    "__version__": "nst.version:VERSION",
    "batch": "nst.many.batch:batch",
    "paint": "nst.api:paint",
    "resume": "nst.api:resume",
    "sheet": "nst.many.sheet:sheet",
    "stylize": "nst.api:stylize",
    "video": "nst.film.video:video",
}


def __getattr__(name: str) -> Any:
    """Return a public name, or a module of the package such as ``nst.kernels``."""
    if name in _HOMES:
        module, _, inside = _HOMES[name].partition(":")
        return getattr(import_module(module), inside)
    if not name.startswith("_"):
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """A module in which ``stylize`` stays the function when the module of that name is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
