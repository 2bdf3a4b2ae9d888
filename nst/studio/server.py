"""One page and what it asks for, served on 127.0.0.1 to whoever has the address."""

import asyncio
import secrets
import signal
import socket
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from nst.errors import NstError, brief
from nst.signals import NUMBERS, Stopped
from nst.studio.door import Door, policy_of
from nst.studio.telling import Told, said_of

LOOPBACK = "127.0.0.1"


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Site:
    """A page (an HTML file that needs no other) and the ``routes`` below its address.

    Paths in the page are relative.  An `NstError` in a route is the answer {"error": its line}
    with status 400.
    """

    page: Path
    routes: Sequence[BaseRoute] = ()
    named: Callable[[str], str] = str  # messages, which name options, as the page has them
    on_close: Callable[[], None] = nothing  # in a thread, when the server is to end: lets it end


@dataclass
class Listening:
    """A site at its address, before and while it is served."""

    site: Site
    port: int = 0  # 0: one that is free
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def __post_init__(self) -> None:
        self._socket = _listen(self.port)
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            application(self.site, self.token, self.port),
            log_config=None,
            log_level="critical",
            access_log=False,  # it would print the token
            proxy_headers=False,  # nobody stands between
            server_header=False,
            ws="none",
            http="h11",
            loop="asyncio",
            timeout_graceful_shutdown=3,
        )
        self.server = _Server(config, self.site.on_close)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.port}/{self.token}/"

    def run(self) -> None:
        """Serve until ``server.should_exit``."""
        self.server.run([self._socket])


class _Server(uvicorn.Server):
    """Ends when it is told to, not at signals; lets the site end first what it does."""

    def __init__(self, config: uvicorn.Config, on_close: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_close = on_close

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # What a connection fails of, such as too many of them, is no matter of the terminal's
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._on_close)
        await super().shutdown(sockets)


def serve(site: Site, say: Callable[[str], None], port: int = 0, browser: bool = True) -> None:
    """Serve ``site`` until a signal comes; ``say`` its address, and open it in a browser.

    Raises
    ------
    Stopped
        When a signal ended it: as with any other command, that is how it ends.
    NstError
        If the port is taken.
    """
    listening = Listening(site, port)
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        listening.server.force_exit = len(came) > 1
        listening.server.should_exit = True

    before = {
        number: signal.signal(number, end)
        for number in NUMBERS
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        say(listening.address)
        if browser:
            webbrowser.open(listening.address)
        listening.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise Stopped(came[0])


def application(site: Site, token: str, port: int) -> Door:
    """Return the ASGI application of a ``site``, behind its door."""
    text = site.page.read_text(encoding="utf-8")

    async def page(_: Request) -> Response:
        return HTMLResponse(text)

    inside = Starlette(
        routes=[Route("/", page), *site.routes],
        exception_handlers={NstError: _refused, HTTPException: _failed, Exception: _ended},
    )
    return Door(inside, token, port, policy_of(text), site.named)


async def _refused(_: Request, error: Exception) -> Response:
    return Told({"error": str(error)}, 400)


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Told({"error": error.detail}, error.status_code)


async def _ended(_: Request, error: Exception) -> Response:
    """Answer for what the machine refuses, and for a bug."""
    return Told({"error": said_of(error)}, 500)


def _listen(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise NstError(f"--port is {port}; give a number from 0 to 65535.")
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise NstError(
            f"--port {port} cannot be used: {brief(error)}; give another, or none for one that is "
            "free."
        ) from error
