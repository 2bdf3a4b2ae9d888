"""A picture becomes the bytes of a PNG, JPEG, WebP, TIFF or AVIF, with what it says of itself.

PNG has texts of its own.  In WebP, TIFF and AVIF they are XMP, as ISO 16684-1 has it: one element
of JSON, stored as it is, so that it is found without a decoder.
"""

import html
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image

from nst import schema
from nst.errors import NstError
from nst.files import PathLike

WRITES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
ENDINGS = ".png, .jpg, .webp, .tiff or .avif"  # as messages name them
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # pixels; the libraries' limits
OPTIONS: dict[
    str, dict[str, Any]
] = {  # of Pillow: what is lost is not to be seen, and colour keeps its resolution
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "exact": True, "use_sharp_yuv": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:nst="urn:nst"><nst:texts>{}</nst:texts></rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)
XMP_TAG = 700  # of TIFF
MOST_TEXT = 1 << 20  # bytes that are looked at


def kind_to_write(path: PathLike) -> str:
    """Return Pillow's name of the kind that the end of a file's name asks for.

    Raises NstError where it asks for none that is written, here or by this Pillow.
    """
    suffix = Path(path).suffix
    kind = WRITES.get(suffix.lower())
    if kind is None:
        found = f"its name ends in {suffix!r}" if suffix else "its name has no ending"
        raise NstError(f"cannot write {path}: {found}; end it in {ENDINGS}")
    if kind in ("WEBP", "AVIF"):
        from PIL import features

        if not features.check(kind.lower()):
            raise NstError(
                f"cannot write {path}: this Pillow was built without {kind}; end the name in .png"
            )
    return kind


def encode(path: PathLike, kind: str, picture: PIL.Image.Image, metadata: dict[str, str]) -> bytes:
    """Return the file of a ``picture``, RGB or RGBA; a JPEG's carries only whose it is."""
    longest = LONGEST_SIDE.get(kind)
    if longest is not None and max(picture.size) > longest:
        width, height = picture.size
        raise NstError(
            f"cannot write {path}: {kind} holds {longest} pixels a side, and the image "
            f"is {width} x {height}; end the name in .png"
        )
    options = dict(OPTIONS.get(kind, {}))
    if kind == "PNG":
        options["pnginfo"] = _png_texts(metadata)
    elif kind == "JPEG":
        options["comment"] = metadata.get("nst run", "")
    elif metadata:
        packet = XMP.format(html.escape(json.dumps(metadata), quote=False)).encode("ascii")
        if kind == "TIFF":
            options["tiffinfo"] = {XMP_TAG: packet}
        else:
            options["xmp"] = packet
    encoded = BytesIO()
    picture.save(encoded, kind, **options)
    return encoded.getvalue()


def texts_in(data: bytes, name: str) -> dict[str, str]:
    """Return the texts that `encode` has put into a file that is no PNG; {} where there are none.

    Raises NstError for what is no such text.
    """
    start = data.find(b"<nst:texts>")
    end = data.find(b"</nst:texts>", start, start + MOST_TEXT)
    if min(start, end) < 0:
        return {}
    text = html.unescape(data[start + len(b"<nst:texts>") : end].decode("utf-8", "replace"))
    what = f"what {name} says of itself"
    return schema.convert(schema.parse_json(text, what), dict[str, str], what)


def _png_texts(metadata: dict[str, str]) -> object:
    from PIL.PngImagePlugin import PngInfo  # here: importing this loads no plug-in

    texts = PngInfo()
    for keyword, text in metadata.items():
        if not re.fullmatch(r"[ -~¡-ÿ]{1,79}", keyword):  # the PNG specification, 11.3.3.2
            raise ValueError(f"{keyword!r} cannot be a PNG keyword: 1 to 79 Latin-1 characters")
        texts.add_itxt(keyword, text)
    return texts
