"""Which photograph is painted in which style, and what each result is called."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst import demo
from nst.errors import NstError, brief, printable, reason_of
from nst.many.photographs import Photograph, names_of
from nst.pictures import encoding, reading
from nst.settings import Painting

KINDS = ("png", "jpg", "webp", "tiff", "avif")  # what results end in
OF_ONE_PICTURE = ("style", "output", "log", "report", "checkpoint", "preview")  # settings
LARGEST_LIST = 16_000_000  # bytes


@dataclass(frozen=True)
class Job:
    """One picture to paint."""

    content: Path
    style: Painting | Path  # a path of a list, which was not looked for yet
    output: Path

    @property
    def style_path(self) -> Path:
        """Where the painting is."""
        return self.style.path if isinstance(self.style, Painting) else self.style

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{printable(self.content)} in {printable(self.style_path.stem)}"


def each_in_each(
    photographs: Sequence[Photograph], styles: Sequence[Painting], folder: Path, kind: str
) -> list[Job]:
    """Return a job for each photograph in each style.

    Its result is ``folder/photograph-style.png``, in the folder below that the photograph says;
    see `names_of` for photographs of one name, and for styles.
    """
    in_style = names_of(style.path for style in styles)
    jobs = []
    for below in dict.fromkeys(one.below for one in photographs):
        named = names_of(one.path for one in photographs if one.below == below)
        for path, name in named.items():
            jobs += [
                Job(path, style, folder / below / f"{name}-{in_style[style.path]}.{kind}")
                for style in styles
            ]
    return list(_apart(jobs))


def read_list(path: Path, folder: Path, kind: str) -> list[Job]:
    """Return the jobs of a list: a CSV file of photograph, style and perhaps the result's name.

    Paths begin where the list is; a style may be the name of a painting that comes along, a
    result's name is in ``folder``.  A first line of these very words is none of its pairs.
    Raises NstError, with the line, for what is no such list.
    """
    rows: list[tuple[int, list[str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_of_a_list(file.read(LARGEST_LIST + 1), path).splitlines(True))
            rows += [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        reason = reason_of(error)
        raise NstError(f"cannot read {path}: {reason}; check --pairs.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise NstError(f"{path} is no CSV file in UTF-8: {brief(error)}; mend it.") from error
    if rows and [cell.lower() for cell in rows[0][1]][:2] == ["photograph", "style"]:
        del rows[0]
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise NstError(f"{path} names no pair; give lines of photograph,style.")
    pairs = [_pair(row, f"line {number} of {path}", path.parent) for number, row in rows]
    in_style = names_of(style for _, style, _ in pairs)
    named = names_of(content for content, _, _ in pairs)
    return list(
        _apart(
            Job(
                content,
                style,
                folder / (output or f"{named[content]}-{in_style[style]}.{kind}"),
            )
            for content, style, output in pairs
        )
    )


def _of_a_list(text: str, path: Path) -> str:
    if len(text) > LARGEST_LIST or "\0" in text:
        raise NstError(f"{path} is no list of pairs; give a CSV file of photograph,style.")
    return text


def _pair(row: Sequence[str], where: str, beside: Path) -> tuple[Path, Path, str]:
    """Return the photograph, the style and the result's name, or "", of one line."""
    content, style, output = [*row, "", "", ""][:3]
    if not content or not style or len(row) > 3:
        raise NstError(
            f"{where} is {brief(','.join(row))!r}; give photograph,style or "
            "photograph,style,result.png."
        )
    if reading.STDIN in (content, style):
        raise NstError(f"{where} names standard input; a batch reads files.")
    if output and (os.path.isabs(output) or ".." in Path(output).parts):
        raise NstError(f"{where} would write {brief(output)}; name a file in the batch's folder.")
    if output and Path(output).suffix.lower() not in encoding.WRITES:
        raise NstError(f"{where} would write {brief(output)}; end it in {encoding.ENDINGS}.")
    known = style in demo.STYLES and not reading.exists(beside / style)
    return beside / content, demo.style_path(style) if known else beside / style, output


def _apart(jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield the ``jobs`` with a number in the name of a result that is another's already."""
    taken: set[str] = set()
    for job in jobs:
        output, number = job.output, 2
        while str(output).casefold() in taken:
            output = job.output.with_stem(f"{job.output.stem}-{number}")
            number += 1
        taken.add(str(output).casefold())
        yield Job(job.content, job.style, output)
