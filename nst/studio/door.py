"""Who may come in: a browser on this machine that was given the address, and no other page in it.

Every request passes here before anything looks at it.

- The Host that the browser asks must be this server.  Another name that leads to 127.0.0.1 would
  let a foreign page read here (DNS rebinding).
- The address begins with a random token: another user of the machine, or another program, does
  not know it.  What does not begin so is not there.
- What changes something must come from our own page, by the Origin that the browser says.
- A body has a limit; what is beyond is not kept.

Every answer forbids the browser what our page does not need: see `policy_of`.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst.errors import naming
from nst.studio.telling import Told

LARGEST_BODY = 64_000_000  # bytes, of a photograph
MOST_PASSED_OVER = 4 * LARGEST_BODY  # bytes of a larger body, read so that the browser hears why
SAFE = ("GET", "HEAD")  # methods that change nothing
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # the address is a secret
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def policy_of(page: str) -> str:
    """Return the content security policy of a ``page`` (HTML) that holds its scripts and styles.

    Its own may run, by their hashes, and no other; pictures come from here or were made in the
    page, and there is nothing that it may ask elsewhere.
    """

    def hashes(tag: str) -> str:
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts]
        return " ".join(f"'sha256-{digest.decode()}'" for digest in digests) or "'none'"

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {hashes('script')}",
            f"style-src {hashes('style')}",
            "img-src 'self' blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",  # no text becomes HTML
        ]
    )


@dataclass(frozen=True)
class Door:
    """An ASGI application that lets into ``app`` who may come in."""

    app: ASGIApp
    token: str  # the first part of every path
    port: int
    policy: str = "default-src 'none'"
    named: Callable[[str], str] = str  # messages with the page's names of things

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it in."""
        if scope["type"] != "http":  # the start and the end of the server; there is no websocket
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        refusal = self._refusal(scope, headers)
        if refusal is None and (not length.isdecimal() or int(length) > LARGEST_BODY):
            await _pass_over(receive)
            refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE
        if refusal is not None:
            status, said = refusal
            answer = Told({"error": said}, status)
            await answer(scope, receive, self._with_headers(send))
            return
        prefix = f"/{self.token}"
        inside = {**scope, "root_path": scope.get("root_path", "") + prefix}
        with naming(self.named):
            await self.app(inside, _bounded(receive), self._with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
        """Return why a request may not come in; None: it may."""
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")]
        host = headers.get("host", "")
        if host not in hosts:
            return HTTPStatus.MISDIRECTED_REQUEST, f"this is {hosts[0]}; open the address it said"
        path = scope["path"].split("/")
        if len(path) < 2 or not secrets.compare_digest(path[1].encode(), self.token.encode()):
            return HTTPStatus.NOT_FOUND, "there is nothing here; open the address that nst printed"
        origin = headers.get("origin")
        if origin != f"http://{host}" and (origin is not None or scope["method"] not in SAFE):
            return HTTPStatus.FORBIDDEN, "only its own page may ask this server"
        return None

    def _with_headers(self, send: Send) -> Send:
        """Return a ``send`` that puts our headers on every answer."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Content-Security-Policy": self.policy}.items():
                    said[name] = value
            await send(message)

        return sent


TOO_LARGE = (
    f"that is larger than {LARGEST_BODY // 10**6} MB, the most that the page takes; make it "
    "smaller, or use the command line"
)


async def _pass_over(receive: Receive) -> None:
    """Read a body and keep nothing of it, as far as that goes."""
    passed = 0
    while passed < MOST_PASSED_OVER:
        message = await receive()
        passed += len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _bounded(receive: Receive) -> Receive:
    """Return a ``receive`` that refuses a body that grows too large as it comes."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        return message

    return counted
