"""The server's door, asked as browsers, foreign pages and other programs ask."""

import http.client
import json
import re
import threading
import time

import pytest
from browsers import served
from playwright.sync_api import expect
from starlette.responses import JSONResponse
from starlette.routing import Route

from nst.errors import NstError
from nst.studio import door
from nst.studio.feed import Feed
from nst.studio.server import Listening, Site

PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>a page</title>
<link rel="icon" href="data:,"><style>p { color: rgb(1, 2, 3) }</style>
<p id="said">nothing yet</p>
<script>
  const said = document.querySelector("#said");
  new EventSource("events").onmessage = (event) => { said.textContent = event.data; };
</script></html>"""


async def size_of(request):
    return JSONResponse(len(await request.body()))


async def refuse(_):
    raise NstError("size is 3; it must be more.")


@pytest.fixture
def feed():
    return Feed()


@pytest.fixture
def site(tmp_path, feed):
    (tmp_path / "page.html").write_text(PAGE)
    count = iter(range(100))

    async def events(_):
        return feed.answer(lambda: next(count))

    routes = [
        Route("/size", size_of, methods=["POST"]),
        Route("/refuse", refuse),
        Route("/events", events),
    ]
    return Site(tmp_path / "page.html", routes, on_close=feed.close)


@pytest.fixture
def here(site):
    with served(site) as listening:
        yield listening


def ask(here, path="", method="GET", body=None, **headers):
    """Return (status, headers, text); an underscore in a header's name is a dash, None is none."""
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=20)
    own = f"127.0.0.1:{here.port}"
    said = {"Host": own, "Origin": f"http://{own}" if method != "GET" else None}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    path = path if path.startswith("/") else f"/{here.token}/{path}"
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if body is not None and "Content-Length" not in said:
        said["Content-Length"] = str(len(body))
    for name, value in said.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    if body is not None:
        connection.send(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def test_the_page_is_at_its_address_and_nowhere_else(here):
    status, _, text = ask(here)
    assert (status, text) == (200, PAGE)
    wrong = "/", "/a-guess/", "/a-guess", f"/{here.token[:-1]}/", f"/x{here.token}/"
    for path in (*wrong, f"/{here.token}x/", "/favicon.ico", f"//{here.token}/"):
        status, _, text = ask(here, path)
        assert status == 404, path
        assert here.token not in text


def test_the_token_is_new_each_time_and_cannot_be_guessed(site):
    tokens = set()
    for _ in range(3):
        listening = Listening(site)
        listening._socket.close()
        tokens.add(listening.token)
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 32


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", None])
def test_another_host_is_refused(here, host):
    assert ask(here, Host=host)[0] in (400, 421)


def test_localhost_is_the_same(here):
    assert ask(here, Host=f"localhost:{here.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{}", None])
def test_what_changes_something_comes_from_the_page_itself(here, origin):
    given = origin and origin.format(here.port)
    assert ask(here, "size", "POST", b"abc", Origin=given)[0] == 403
    assert ask(here, "size", "POST", b"abc")[::2] == (200, "3")


def test_a_foreign_page_cannot_read_either(here):
    assert ask(here, Origin="http://evil.example")[0] == 403


def test_a_body_has_a_limit_whatever_it_says_of_its_length(here, monkeypatch):
    monkeypatch.setattr(door, "LARGEST_BODY", 1000)
    assert ask(here, "size", "POST", bytes(1000))[0] == 200
    status, _, text = ask(here, "size", "POST", bytes(1001))
    assert status == 413
    assert "the most that the page takes" in json.loads(text)["error"]
    chunks = b"200\r\n" + bytes(512) + b"\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=20)
    connection.putrequest("POST", f"/{here.token}/size", skip_accept_encoding=True)
    connection.putheader("Origin", f"http://127.0.0.1:{here.port}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(3 * chunks + b"0\r\n\r\n")
    assert connection.getresponse().status == 413
    connection.close()


def test_what_is_refused_is_said_in_its_line(here):
    status, _, text = ask(here, "refuse")
    assert (status, json.loads(text)) == (400, {"error": "size is 3; it must be more."})
    assert ask(here, "no-such-thing")[0] == 404
    assert ask(here, "size")[0] == 405


def test_every_answer_forbids_what_the_page_does_not_need(here):
    for path in ("", "refuse", "/elsewhere"):
        said = ask(here, path)[1]
        policy = said["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert said["x-content-type-options"] == "nosniff"
        assert said["cache-control"] == "no-store"
        assert "server" not in said


def test_a_taken_port_is_refused_in_one_line(here, site):
    with pytest.raises(NstError, match=rf"--port {here.port} cannot be used: .*give another"):
        Listening(site, here.port)


def test_a_page_hears_of_changes_without_a_queue(here, feed, visitor):
    page = visitor.open(here.address)
    expect(page.locator("#said")).to_have_text("0")
    for _ in range(50):
        feed.changed()
    expect(page.locator("#said")).to_have_text(re.compile("[12]"))
    time.sleep(0.3)
    assert page.text_content("#said") in ("1", "2")  # not one each
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#said')).color") == "rgb(1, 2, 3)"
    )


def test_what_is_not_the_page_s_own_does_not_run_in_it(here, visitor):
    page = visitor.open(here.address)
    ran = page.evaluate("""() => {
        const script = document.createElement("script");
        try { script.textContent = "window.ran = true"; document.body.append(script); } catch {}
        return window.ran === true;
    }""")
    assert not ran
    reached = page.evaluate("fetch('http://127.0.0.1:1/').then(() => true, (e) => String(e))")
    assert "TypeError" in reached
    assert visitor.complaints, "the policy says in the console what it forbids"
    visitor.complaints.clear()


def test_the_server_ends_while_pages_listen(site, visitor):
    listening = Listening(site)
    thread = threading.Thread(target=listening.run)
    thread.start()
    page = visitor.open(listening.address)
    expect(page.locator("#said")).to_have_text("0")
    listening.server.should_exit = True
    thread.join(4)  # seconds; it would wait 5 for a page to go
    assert not thread.is_alive()
    page.close()
    visitor.complaints.clear()  # of the connection
