"""The two libraries that films need, which only the extra ``video`` brings."""

import importlib
from types import ModuleType
from typing import Any

from nst.errors import NstError, brief
from nst.extras import installing


def pyav() -> Any:
    """Return PyAV, which reads and writes films; NstError says how to install it."""
    return _module("av", "PyAV")


def opencv() -> Any:
    """Return OpenCV, which finds optical flow; NstError says how to install it."""
    return _module("cv2", "OpenCV")


def _module(name: str, called: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise NstError(
            f"films need {called}, which {'is not installed' if missing else 'cannot be loaded'} "
            f"({brief(error)}): `{installing('video')}` brings it."
        ) from error
