"""What pages are told while they are open: server-sent events, of which the newest is enough."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse

from nst.studio.telling import text_of

PAUSE = 0.1  # seconds from one event to the next, at least
SILENCE = 15.0  # seconds after which a word that means nothing keeps a connection open


class Feed:
    """Tells every page that listens when something has changed.

    No page has a queue: whatever changes while it is told, it is told at once and together.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: set[asyncio.Event] = set()
        self._closed = False

    def changed(self) -> None:
        """Say from any thread that there is something to tell."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """Let every page go."""
        self._closed = True
        self.changed()

    def answer(self, tell: Callable[[], Any]) -> StreamingResponse:
        """Return the events of one page: what ``tell`` returns now, and after every change.

        ``tell`` is called for this page alone, so it may return what is new since its last call;
        None for nothing.
        """
        return StreamingResponse(self._events(tell), media_type="text/event-stream")

    def _ring(self) -> None:
        for news in self._news:
            news.set()

    async def _events(self, tell: Callable[[], Any]) -> AsyncIterator[str]:
        self._loop = asyncio.get_running_loop()
        news = asyncio.Event()
        self._news.add(news)
        try:
            while not self._closed:
                told = tell()
                yield ":\n\n" if told is None else f"data: {text_of(told)}\n\n"
                await asyncio.sleep(PAUSE)
                try:
                    await asyncio.wait_for(news.wait(), SILENCE)
                except TimeoutError:
                    continue
                news.clear()
        finally:
            self._news.discard(news)
