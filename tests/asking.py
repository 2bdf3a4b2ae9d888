"""A page's server asked as its page asks it, without a browser."""

import http.client
import json
import time


def ask(here, path="", method="GET", body=None):
    """Return the status, the headers by their names in small letters, and the bytes."""
    own = f"127.0.0.1:{here.port}"
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    origin = {} if method == "GET" else {"Origin": f"http://{own}"}
    connection.request(method, f"/{here.token}/{path}", body, {"Host": own, **origin})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data


def told(here, path, method="GET", body=None, status=200):
    """Return what is told as JSON, of which every browser can read every word."""
    found, _, data = ask(here, path, method, body)
    assert found == status, data
    return json.loads(data, parse_constant=lambda word: f"{word} is no JSON")


def until(true, seconds=120):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)
