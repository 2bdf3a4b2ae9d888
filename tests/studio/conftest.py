import pytest
from browsers import browser, served, visitor
from playwright.sync_api import expect

from nst.studio.studio import Studio

__all__ = ["browser", "visitor"]

expect.set_options(timeout=60_000)  # milliseconds; a busy machine is slow


@pytest.fixture
def studio(files, tmp_path, monkeypatch):
    """A studio in an empty folder whose network is tiny."""
    monkeypatch.chdir(tmp_path)
    opened = Studio(model=str(files / "tiny.onnx"), device="cpu")
    yield opened
    opened.close()


@pytest.fixture
def here(studio):
    """The studio's page, served."""
    with served(studio.site) as listening:
        yield listening
