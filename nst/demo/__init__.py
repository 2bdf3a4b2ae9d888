"""The demo's pictures: the project's own style paintings and a photograph to paint.

The paintings come from a seed and ``scripts/paint_styles.py``.  The photograph is
the portrait of Rear Admiral Grace Hopper that matplotlib installs with its sample
data; it is in the public domain.
"""

from importlib.util import find_spec
from pathlib import Path

from nst.errors import NstError, meant
from nst.pictures import reading

STYLES: dict[str, str] = {
    "swirl": "oil on canvas: a night sky of slow whirlpools, in thick strokes",
    "glass": "stained glass: a rose of a sun over hills and a river, in lead",
    "waves": "woodblock print: breakers under a low sun, ink lines and graded blues",
    "garden": "pointillism: an orchard path at noon, in dots that mix in the eye",
}


def style_path(name: str) -> Path:
    """Return the JPEG file of the style painting ``name``, one of ``STYLES``."""
    if name not in STYLES:
        known = ", ".join(STYLES)
        raise NstError(f"unknown demo style: {name!r}. Choose one of: {known}.")
    return Path(__file__).with_name(f"{name}.jpg")


def name_of(path: Path) -> str | None:
    """Return the name of a painting that comes along; None for any other file."""
    return path.stem if path in map(style_path, STYLES) else None


def found(path: Path) -> Path:
    """Return the file of a style's ``path``: a painting of ours, where there is no such file.

    Raises NstError for a plain word that is neither.
    """
    name = str(path)
    if isinstance(path, reading.Held) or reading.exists(path):
        return path
    if name in STYLES:
        return style_path(name)
    if name.isidentifier() and len(name) < 60:
        question = meant([name.lower()], STYLES)
        raise NstError(
            f"style image not found: {name}. Check the path, or name a painting that comes along: "
            + ", ".join(STYLES)
            + (f"; {question}" if question else ".")
        )
    return path


def folders() -> list[Path]:
    """Return where the demo's pictures are: the paintings, and the photograph if it is there."""
    return [Path(__file__).parent, *(path.parent for path in photographs() if path.is_file())]


def content_path() -> Path:
    """Return the demo's photograph, ``grace_hopper.jpg`` in matplotlib's sample data.

    Looks where ``matplotlib.get_data_path()`` points, without the second that
    importing matplotlib takes.
    """
    paths = photographs()
    for path in paths:
        if path.is_file():
            return path
    looked = "matplotlib is missing"
    if paths:
        looked = f"not in matplotlib's folder {paths[0].parents[2]}"
    raise NstError(
        f"demo photograph not found: {looked}. "
        "Run `pip install --force-reinstall matplotlib`, or give a content image of your own."
    )


def photographs() -> list[Path]:
    """Return where the photograph may be."""
    spec = find_spec("matplotlib")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return [Path(f) / "mpl-data" / "sample_data" / "grace_hopper.jpg" for f in folders]
