"""A real browser, a page in it that may complain of nothing, and a site to visit."""

import shutil
import threading
from contextlib import contextmanager

import pytest
from machine import unavailable
from playwright.sync_api import sync_playwright

from nst.studio.server import Listening

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@contextmanager
def chromium():
    """The system's Chromium, headless."""
    if CHROMIUM is None:
        unavailable("Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visitor:
    """Opens pages; collects what they ask for, and what they complain of."""

    def __init__(self, browser):
        self._browser = browser
        self._contexts = []
        self.complaints: list[str] = []
        self.requests: list[str] = []  # addresses

    def open(self, address, **kind):
        """Return ``address`` opened in a window of its own; ``kind`` is Playwright's."""
        self._contexts.append(self._browser.new_context(**kind))
        return self.another(self._contexts[-1], address)

    def another(self, context, address):
        """Return ``address`` opened in one more tab."""
        page = context.new_page()
        page.set_default_timeout(120_000)  # milliseconds; a busy machine is slow
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        return page

    def leave(self):
        """Close every window."""
        for context in self._contexts:
            context.close()


@contextmanager
def served(site):
    """Serve a `Site` in a thread, and yield it as `Listening`, which has the address."""
    listening = Listening(site)
    thread = threading.Thread(target=listening.run)
    thread.start()
    try:
        yield listening
    finally:
        listening.server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def visitor(browser):
    """A `Visitor` of whom nothing may have been complained at the end."""
    visiting = Visitor(browser)
    yield visiting
    visiting.leave()
    assert visiting.complaints == [], visiting.complaints
