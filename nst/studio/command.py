"""`nst studio`: from the words of the command line to a page in the browser."""

from pathlib import Path
from typing import Any

from nst.errors import NstError
from nst.extras import installing
from nst.signals import Stopped
from nst.terminal import tell


def studio(port: int, browser: bool, folder: Path, **options: Any) -> int:
    """Open a page to paint in, in your browser; it needs no network."""
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise missing("nst studio", error) from None
    del starlette, uvicorn
    from nst.studio.alone import alone_in
    from nst.studio.server import serve
    from nst.studio.studio import open_studio

    opened = open_studio(folder=folder, **options)
    try:
        with alone_in(opened.folder):
            serve(opened.site, _say, port, browser)
    except Stopped as stopped:
        kept = [str(piece.output) for piece in opened.kept()]
        stopped.add_note(
            f"What was painted is kept: {', '.join(kept)}."
            if kept
            else f"Nothing was painted in {folder}."
        )
        raise
    return 0


def missing(command: str, error: ImportError) -> NstError:
    """Return what to do where the server's packages are not installed."""
    return NstError(
        f"`{command}` needs Starlette and uvicorn, and there is no {error.name}: "
        f"`{installing('studio')}` brings them."
    )


def _say(address: str) -> None:
    tell(f"Paint at {address}", "Whoever has this address can use it. Ctrl-C ends it.")
