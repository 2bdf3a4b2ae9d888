"""`nst lesson`: the page served, or written into a file."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from nst import files, schema
from nst.errors import NstError
from nst.extras import installing
from nst.lesson import page, subject
from nst.lesson.answers import Answers
from nst.lesson.record import record
from nst.show.apart import matplotlib_apart
from nst.terminal import tell

MOST_CHARACTERS = 10_000  # of a question


def lesson(
    content: Path | None,
    style: str,
    size: int,
    model: str,
    export: Path | None,
    port: int,
    browser: bool,
) -> int:
    """Take style transfer apart in the browser, number by number, on your pictures or ours."""
    if export is not None:
        _check_export(export, content, style)
    with matplotlib_apart():
        answers = Answers(subject.read(content, style, size, model))
        if export is not None:
            text = page.render(answers.subject, record(answers))
            with files.replace_atomically(export) as file:
                file.write(text.encode(errors="backslashreplace"))
            tell(export)
            return 0
        try:
            from nst.studio.server import serve
        except ModuleNotFoundError as error:
            raise NstError(
                f"the lesson's page needs a server, and {error.name} is not installed; "
                f"`{installing('studio')}` brings it, or --export FILE.html needs none."
            ) from None
        answers.warm()
        with tempfile.TemporaryDirectory(prefix="nst-") as folder:
            serve(site(answers, Path(folder)), tell, port, browser)
    return 0


def _check_export(path: Path, content: Path | None, style: str) -> None:
    """Raise NstError where the lesson's copy cannot be written, or would overwrite a picture."""
    if files.resolved(path) in (files.resolved(one) for one in (content, style) if one):
        raise NstError(f"--export would overwrite an input, {path}; give another name.")
    files.check_writable(path)


def site(answers: Answers, folder: Path) -> Any:
    """Return the lesson as a `Site`, its page written into ``folder``."""
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from nst.studio.server import Site
    from nst.studio.telling import Told

    path = folder / "lesson.html"
    path.write_text(page.render(answers.subject), encoding="utf-8", errors="backslashreplace")

    async def asked(request: Request) -> Any:
        text = (await request.body()).decode(errors="replace")
        return schema.parse_json(text, "the question", MOST_CHARACTERS)

    async def figure(request: Request) -> Response:
        return Told(await asyncio.to_thread(answers.figure, await asked(request)))

    async def exercise(request: Request) -> Response:
        return Told(await asyncio.to_thread(answers.exercise, await asked(request)))

    routes = [
        Route("/figure", figure, methods=["POST"]),
        Route("/exercise", exercise, methods=["POST"]),
    ]
    return Site(path, routes)
