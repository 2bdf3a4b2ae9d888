"""What an extra of this package needs, as the command that installs it.

The package is on no index, so `pip install 'nst[studio]'` would find nothing; what an extra names
is on one.
"""

import shlex
import sys
from importlib import metadata


def installing(extra: str) -> str:
    """Return the command that installs what ``extra`` needs, for the Python that runs.

    >>> installing("heic").partition(" -m ")[2]
    "pip install 'pillow-heif>=1'"
    """
    try:
        required = metadata.requires(__package__) or []
    except metadata.PackageNotFoundError:  # the sources alone, in which pip finds what they need
        required = [f".[{extra}]; extra == '{extra}'"]
    parted = [text.partition(";") for text in required]
    named = [
        what.strip() for what, _, marker in parted if f"'{extra}'" in marker.replace('"', "'")
    ]
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *named])
