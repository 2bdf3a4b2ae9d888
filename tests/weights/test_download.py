"""Downloads from a server on loopback, with everything that goes wrong on the way."""

import dataclasses
import gc
import hashlib
import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
import safetensors.numpy
import trustme
from published import NARROW, Fault, Server, torchvision_tensors
from small_networks import NARROW_VGG16, draw_arrays

from nst.errors import NstError
from nst.vgg.architecture import ARCHITECTURES
from nst.weights import download
from nst.weights.download import Unavailable

SIZE = 100_001


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "PIECE", 1024)
    for name, architecture in NARROW.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)
    with Server() as running:
        yield running


@pytest.fixture
def content(rng):
    return rng.bytes(SIZE)


@pytest.fixture
def keras(server, content):
    return server.source("/keras/vgg16.h5", content)


@pytest.fixture
def tensors(rng):
    return torchvision_tensors(draw_arrays(NARROW_VGG16, rng))


@pytest.fixture
def timm(server, tensors):
    """A .safetensors file of 1 MB of which a hundredth is wanted."""
    body = safetensors.numpy.save(tensors, {"format": "pt"})
    return server.source("/timm/model.safetensors", body, only_convolutions=True)


def bring(source, folder, show=lambda *_: None):
    path = download.download(source, folder, show)
    assert list(folder.iterdir()) == [path]  # no part, no tag
    return path


def refusal(source, folder):
    with pytest.raises(Unavailable) as error:
        download.download(source, folder, lambda *_: None)
    assert not [path for path in folder.iterdir() if path.suffix not in (".part", ".tag")]
    return str(error.value)


@pytest.fixture
def leave_part(server, monkeypatch):
    """A function that makes a try fail after 30 kB, or as many as are told."""

    def leave(source, folder, size=30_720):
        path = source.url.removeprefix(server.root)
        with monkeypatch.context() as patch:
            patch.setattr(download, "ATTEMPTS", 1)
            server.faults[path] = Fault(cut_after=size, cuts=99)
            assert f"after {size / 1e6:.1f} of" in refusal(source, folder)
        del server.faults[path]
        server.requests.clear()

    return leave


def kept(folder):
    return b"".join(path.read_bytes() for path in folder.glob("*.part"))


# --- Whole files ------------------------------------------------------------------------------


def test_a_file_comes_whole_and_progress_is_told(server, keras, content, tmp_path):
    told = []
    path = bring(keras, tmp_path, lambda *progress: told.append(progress))
    assert path.read_bytes() == content
    assert path.suffix == ".h5"
    hosts, here, total = zip(*told, strict=True)
    assert set(hosts) == {"127.0.0.1"}
    assert set(total) == {SIZE}
    assert list(here) == sorted(here)
    assert here[0] < SIZE == here[-1]
    assert server.ranges("/keras/vgg16.h5") == [""]


def test_sha256_is_checked_as_md5_is(server, content, tmp_path):
    right = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert bring(server.source("/a.h5", content, checksum=right), tmp_path)
    wrong = server.source("/b.h5", content, checksum="sha256:" + "0" * 64)
    with pytest.raises(Unavailable, match=f"has sha256 {right[7:]}, expected 0{{64}}$"):
        download.download(wrong, tmp_path, lambda *_: None)


def test_a_wrong_checksum_names_both_and_leaves_nothing(keras, server, content, tmp_path):
    changed = bytearray(content)
    changed[SIZE // 2] ^= 1
    server.files["/keras/vgg16.h5"] = bytes(changed)
    reason = refusal(keras, tmp_path)
    assert hashlib.md5(changed).hexdigest() in reason
    assert keras.checksum.removeprefix("md5:") in reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_error_of_the_server_is_named(status, server, keras, tmp_path):
    server.faults["/keras/vgg16.h5"].status = status
    assert refusal(keras, tmp_path).startswith(f"HTTP {status} ")
    assert len(server.requests) == 1  # it does not insist


def test_a_redirect_is_followed_with_the_range(server, keras, content, tmp_path):
    server.files["/cdn"] = server.files.pop("/keras/vgg16.h5")
    server.faults["/keras/vgg16.h5"].redirect = f"{server.root}/cdn"
    server.faults["/cdn"].cut_after = 40_000
    assert bring(keras, tmp_path).read_bytes() == content
    assert server.ranges("/cdn") == ["", f"bytes=40000-{SIZE - 1}"]


def test_a_redirect_in_circles_ends(server, keras, tmp_path):
    server.faults["/keras/vgg16.h5"].redirect = keras.url
    assert refusal(keras, tmp_path) == "redirects more than 5 times"
    assert len(server.requests) == 6


def test_a_redirect_may_be_relative(server, keras, content, tmp_path):
    server.files["/keras/other"] = server.files.pop("/keras/vgg16.h5")
    server.faults["/keras/vgg16.h5"].redirect = "other"
    assert bring(keras, tmp_path).read_bytes() == content


@pytest.mark.parametrize(
    "place",
    [
        "http://",
        "http://[::1/a.h5",
        "http://[v1.x]/a.h5",
        "http://a..b/x",
        f"http://{'a' * 70}.invalid/",
        "http://%zz/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://\u00e9\u00ff\u0300.invalid/",
        "http://*.invalid/",
        "//",
    ],
)
def test_a_redirect_to_an_impossible_host_is_that_source_s_fault(place, server, keras, tmp_path):
    server.faults["/keras/vgg16.h5"].redirect = place
    reason = refusal(keras, tmp_path)
    assert reason.isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a"])
def test_a_redirect_out_of_the_web_is_not_followed(place, server, keras, tmp_path):
    server.faults["/keras/vgg16.h5"].redirect = place
    assert refusal(keras, tmp_path) == f"redirects to {place}"


def test_the_body_of_a_redirect_is_not_read(server, keras, content, tmp_path):
    """requests would read it to its end before it goes on."""
    server.files["/cdn"] = content
    fault = server.faults["/keras/vgg16.h5"]
    fault.redirect, fault.endless = "/cdn", True
    assert bring(keras, tmp_path).read_bytes() == content
    assert server.sent < 20e6  # what the system's buffers hold


@pytest.mark.parametrize("has_length", [True, False])
def test_a_cut_connection_goes_on_where_it_was_cut(has_length, server, keras, content, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.cut_after, fault.cuts, fault.no_length = 30_720, 3, not has_length
    assert bring(keras, tmp_path).read_bytes() == content
    firsts = ["", "bytes=30720-", "bytes=61440-", "bytes=92160-"]
    asked = server.ranges("/keras/vgg16.h5")
    assert [one.replace(str(SIZE - 1), "") for one in asked] == firsts
    assert all("If-Range" in headers for _, headers in server.requests[1:])


def test_a_connection_cut_again_and_again_is_given_up_and_kept(server, keras, content, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.cut_after, fault.cuts = 2_048, 99
    assert "after 0.0 of 0.1 MB" in refusal(keras, tmp_path)
    assert len(server.requests) == download.ATTEMPTS
    assert kept(tmp_path) == content[: 2_048 * download.ATTEMPTS]
    fault.cuts = 0
    assert bring(keras, tmp_path).read_bytes() == content
    assert server.ranges("/keras/vgg16.h5")[-1] == f"bytes=10240-{SIZE - 1}"


def test_a_cut_without_ranges_starts_over(server, keras, content, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.cut_after, fault.no_ranges = 30_000, True
    assert bring(keras, tmp_path).read_bytes() == content
    assert len(server.requests) == 2


def test_a_file_that_changed_meanwhile_is_not_mixed(server, keras, leave_part, rng, tmp_path):
    """The old half is of another version: If-Range makes the server send the new one whole."""
    leave_part(keras, tmp_path)
    new = rng.bytes(SIZE)
    newer = server.source("/keras/vgg16.h5", new)
    assert bring(newer, tmp_path).read_bytes() == new
    assert server.ranges("/keras/vgg16.h5") == [f"bytes=30720-{SIZE - 1}"]


def test_a_silent_server_is_given_up_in_time(server, keras, monkeypatch, content, tmp_path):
    monkeypatch.setattr(download, "TIMEOUT", (5, 0.1))
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.faults["/keras/vgg16.h5"].stall_after = 30_000
    assert "nothing came for 0.1 seconds" in refusal(keras, tmp_path)
    assert content.startswith(kept(tmp_path))
    server.faults["/keras/vgg16.h5"].release.set()
    assert bring(keras, tmp_path).read_bytes() == content


def test_a_slow_server_is_waited_for(server, monkeypatch, content, tmp_path):
    monkeypatch.setattr(download, "TIMEOUT", (5, 1))
    slow = server.source("/slow.h5", content[:24_000])
    server.faults["/slow.h5"].trickle = 0.05  # longer than the time-out in all
    assert bring(slow, tmp_path).read_bytes() == content[:24_000]
    assert len(server.requests) == 1


def test_an_address_where_nobody_listens(server, content, tmp_path):
    with Server() as closed:
        source = closed.source("/a.h5", content)
    assert "refused" in refusal(source, tmp_path)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_size_is_seen_before_it_is_brought(change, server, content, tmp_path):
    source = server.source("/a.h5", content, size=SIZE + change)
    assert refusal(source, tmp_path) == f"has {SIZE} bytes, expected {SIZE + change}"
    assert kept(tmp_path) == b""


@pytest.mark.parametrize("size", [SIZE - 50_000, SIZE + 50_000])
def test_a_wrong_size_that_is_not_announced(size, server, content, tmp_path):
    source = server.source("/a.h5", content, size=size)
    server.faults["/a.h5"].no_length = True
    assert refusal(source, tmp_path)


def test_an_answer_from_another_byte_is_not_taken(server, keras, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.cut_after, fault.cuts, fault.wrong_offset = 30_720, 1, 1
    assert "where byte 30720 was asked for" in refusal(keras, tmp_path)


def test_a_complete_part_is_verified_without_a_request(
    server, keras, leave_part, content, tmp_path
):
    leave_part(keras, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(content)
    assert bring(keras, tmp_path).read_bytes() == content
    assert server.requests == []


def test_a_damaged_part_never_becomes_a_file(keras, leave_part, content, tmp_path):
    leave_part(keras, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(bytes(100) + part.read_bytes()[100:])
    assert "expected" in refusal(keras, tmp_path)
    assert bring(keras, tmp_path).read_bytes() == content  # and the next try is a fresh one


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib3's own
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "abc"},
        {"Content-Length": "-1"},
        {"Content-Length": f"{SIZE}, {SIZE + 1}"},
        {"Content-Length": "9" * 5_000},
        {"Content-Encoding": "gzip"},
        {"Transfer-Encoding": "chunked"},  # which it is not
        {"Location": "http://["},
    ],
    ids=str,
)
def test_headers_that_make_no_sense_are_that_source_s_fault(headers, server, keras, tmp_path):
    server.faults["/keras/vgg16.h5"].headers = headers
    if "Location" in headers:
        server.faults["/keras/vgg16.h5"].redirect = headers["Location"]
    assert len(refusal(keras, tmp_path)) <= download.LONGEST_REASON
    gc.collect()  # urllib3 leaves the socket of such an answer to it


@pytest.mark.parametrize(
    "answer",
    ["bytes 30720-100000/" + "9" * 5_000, "bytes " + "9" * 5_000 + "-1/2", "30720", "bytes */5"],
    ids=lambda answer: answer[:12],
)
def test_a_content_range_that_makes_no_sense(answer, server, keras, leave_part, tmp_path):
    leave_part(keras, tmp_path)
    server.faults["/keras/vgg16.h5"].headers = {"Content-Range": answer}
    reason = refusal(keras, tmp_path)
    assert reason.startswith("answered 'bytes ") or reason.startswith("answered '30720")
    assert len(reason) <= download.LONGEST_REASON


@pytest.mark.parametrize("tag", ['"' + "x" * 5_000 + '"', 'W/"weak"', "bare", '"\u00e9"'])
def test_a_tag_that_says_nothing_is_not_given_back(tag, server, keras, content, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.headers, fault.cut_after = {"ETag": tag}, 30_000
    assert bring(keras, tmp_path).read_bytes() == content
    assert not any("If-Range" in headers for _, headers in server.requests)
    assert len(server.requests) == 2  # the second from the beginning: nothing vouches for a part


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is(server, keras, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.status, fault.reason = 503, "busy\x1b[2J\x07" + "!" * 9_000
    reason = refusal(keras, tmp_path)
    assert reason.startswith("HTTP 503 busy [2J !!!")
    assert reason.isprintable()
    assert len(reason) == download.LONGEST_REASON


def test_a_body_without_an_end_is_left(server, keras, tmp_path):
    fault = server.faults["/keras/vgg16.h5"]
    fault.endless, fault.no_length = True, True
    assert refusal(keras, tmp_path) == f"gives more than the {SIZE} bytes expected"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < SIZE + 10_000


def test_a_head_without_an_end_is_left(server, keras, monkeypatch, tmp_path):
    monkeypatch.setattr(download, "ANSWER", 0.5)
    server.faults["/keras/vgg16.h5"].endless_head = True
    assert refusal(keras, tmp_path) == "gave no answer within 0.5 seconds"


def test_what_is_slower_than_the_minimum_is_left_and_kept(
    server, keras, content, monkeypatch, tmp_path
):
    """A kilobyte every 50 ms is 20 kB a second at the most."""
    monkeypatch.setattr(download, "WINDOW", 0.5)
    monkeypatch.setattr(download, "SLOWEST", 1e6)
    server.faults["/keras/vgg16.h5"].trickle = 0.05
    assert refusal(keras, tmp_path).startswith("sends less than 1000 kB a second")
    assert content.startswith(kept(tmp_path))
    assert len(kept(tmp_path)) >= 1024
    server.faults["/keras/vgg16.h5"].trickle = 0
    assert bring(keras, tmp_path).read_bytes() == content


# --- Only the convolutions --------------------------------------------------------------------


def test_only_the_convolutions_of_a_safetensors_file_come(server, timm, tensors, tmp_path):
    path = bring(timm, tmp_path)
    found = safetensors.numpy.load_file(path)
    wanted = {name: array for name, array in tensors.items() if name.startswith("features.")}
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
    floats = sum(array.size for array in wanted.values())
    (_, _, span) = server.ranges("/timm/model.safetensors")
    first, last = map(int, span.removeprefix("bytes=").split("-"))
    assert last - first + 1 == 4 * floats
    assert len(server.files["/timm/model.safetensors"]) > 20 * floats


def test_a_cut_span_goes_on_where_it_was_cut(server, timm, tensors, tmp_path):
    fault = server.faults["/timm/model.safetensors"]
    fault.cut_after, fault.cuts = 3_072, 4  # the header comes whole: it is shorter
    found = safetensors.numpy.load_file(bring(timm, tmp_path))
    for name, array in found.items():
        np.testing.assert_array_equal(array, tensors[name])
    spans = server.ranges("/timm/model.safetensors")[2:]
    firsts = [int(span.removeprefix("bytes=").split("-")[0]) for span in spans]
    assert [first - firsts[0] for first in firsts] == [0, 3_072, 6_144]


def test_a_span_of_another_version_is_not_mixed(server, timm, leave_part, tensors, tmp_path):
    leave_part(timm, tmp_path, 4_096)
    newer = {name: array + 1 for name, array in tensors.items()}
    body = safetensors.numpy.save(newer, {"format": "pt"})
    server.source("/timm/model.safetensors", body)
    assert "another file than before" in refusal(timm, tmp_path)
    found = safetensors.numpy.load_file(bring(timm, tmp_path))
    for name, array in found.items():
        np.testing.assert_array_equal(array, newer[name])


def test_without_byte_ranges_the_whole_file_is_not_brought(server, timm, tmp_path):
    server.faults["/timm/model.safetensors"].no_ranges = True
    assert refusal(timm, tmp_path).startswith("gives no byte ranges")
    assert kept(tmp_path) == b""


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("features.28.weight", None, "conv5_3.weight is missing"),
        ("features.28.weight", np.zeros((4, 3, 3, 3), np.float32), "features.28.weight must be"),
        ("features.0.bias", np.zeros(3, np.float16), "found F16 [3]"),
        ("features.31.weight", np.zeros(3, np.float32), "features.31.weight is one convolution"),
    ],
)
def test_a_wrong_header_is_seen_before_anything_is_brought(
    name, array, expected, server, tensors, tmp_path
):
    tensors.pop(name, None)
    if array is not None:
        tensors[name] = array
    reason = refusal(publish(server, tensors), tmp_path)
    assert reason.startswith("is not vgg16: ")
    assert expected in reason
    assert len(server.requests) == 2
    assert list(tmp_path.iterdir()) == []


def header_of(entries):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(10_000)


@pytest.mark.parametrize(
    "body",
    [
        bytes(8) + b"{}",
        b"<!DOCTYPE html><html>Not found</html>",
        header_of(b"no json at all"),
        header_of([1, 2, 3]),
        header_of({"features.0.weight": 7}),
        header_of({}),
        header_of({"classifier": 7}),
        b"{}",
        header_of(b"[" * 100_000 + b"]" * 100_000),
        header_of(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        header_of(b'{"features.0.weight": ' + b"9" * 5_000 + b"}"),
    ],
    ids="no_length page no_json list no_entry empty other short nested deep number".split(),
)
def test_what_is_no_safetensors_file_is_refused(body, server, tmp_path):
    refusal(server.source("/t.safetensors", body, only_convolutions=True), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_for_eight_bytes_is_left(server, timm, tmp_path):
    fault = server.faults["/timm/model.safetensors"]
    fault.endless, fault.no_length = True, True
    fault.headers = {"Content-Range": "bytes 0-7/100"}
    assert refusal(timm, tmp_path) == "gives more than the 8 bytes that were asked for"
    assert server.sent < 20e6


def test_a_span_of_a_size_that_nobody_published_is_not_brought(server, tensors, tmp_path):
    source = publish(server, tensors)
    smaller = dataclasses.replace(source, size=1_000)
    assert "it spreads over" in refusal(smaller, tmp_path)
    assert len(server.requests) == 2


def test_what_lies_between_the_convolutions_comes_along(server, tensors, tmp_path):
    """The format allows no holes.  Only a file of another author would be like this."""
    tensors["features.28.a_note"] = np.arange(5, dtype=np.float32)  # sorted before .bias
    del tensors["head.fc.weight"]
    with pytest.raises(Unavailable, match=r"features\.28\.a_note is one convolution too many"):
        download.download(publish(server, tensors), tmp_path, lambda *_: None)
    del tensors["features.28.a_note"]
    tensors["features.note"] = np.arange(5, dtype=np.float32)
    tensors["features"] = np.arange(4, dtype=np.float32)  # sorted before all
    tensors["features.20"] = np.arange(3, dtype=np.float32)  # and between
    found = safetensors.numpy.load_file(bring(publish(server, tensors), tmp_path))
    assert {"features.20", "features.0.bias"} <= set(found)
    assert not {"features", "features.note", "pre_logits.fc1.weight"} & set(found)
    for name, array in found.items():
        np.testing.assert_array_equal(array, tensors[name])


def publish(server, tensors):
    return server.source("/t.safetensors", safetensors.numpy.save(tensors), only_convolutions=True)


@pytest.mark.parametrize(
    "offsets", [[0, 4], [-324, 0], [0, 328], [324, 0], [0.0, 324.0], [0, float("inf")]]
)
def test_offsets_that_do_not_fit_are_refused(offsets, server, timm, tmp_path):
    body = server.files["/timm/model.safetensors"]
    length = int.from_bytes(body[:8], "little")
    header = json.loads(body[8 : 8 + length])
    assert header["features.0.weight"]["shape"] == [3, 3, 3, 3]  # 324 bytes
    header["features.0.weight"]["data_offsets"] = offsets
    server.source("/timm/model.safetensors", header_of(header))
    assert "features.0.weight lies in bytes" in refusal(timm, tmp_path)


# --- The disk ---------------------------------------------------------------------------------


def test_too_little_room_is_said_before_anything_comes(server, keras, monkeypatch, tmp_path):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(SIZE))
    with pytest.raises(NstError, match=r"vgg16 needs 0 MB in .*, which has 0 MB; make room"):
        download.download(keras, tmp_path, lambda *_: None)
    assert server.requests == []


def test_a_disk_that_fills_up_is_one_line_and_left_clean(keras, monkeypatch, tmp_path):
    """/dev/full takes nothing, and says so as a full disk does."""
    real = type(tmp_path).open

    def full(path, mode="r", *rest, **named):
        if mode == "ab" and path.stat().st_size > 20_000:
            return open("/dev/full", "ab")
        return real(path, mode, *rest, **named)

    monkeypatch.setattr(type(tmp_path), "open", full)
    with pytest.raises(NstError, match="No space left on device; make room there") as error:
        download.download(keras, tmp_path, lambda *_: None)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# --- The environment --------------------------------------------------------------------------


def test_the_proxy_of_the_environment_is_used(server, content, monkeypatch, tmp_path):
    source = server.source("/a.h5", content)
    beyond = type(source)(**{**vars(source), "url": "http://weights.invalid/a.h5"})
    monkeypatch.setenv("HTTP_PROXY", server.root)
    assert bring(beyond, tmp_path).read_bytes() == content
    assert [path for path, _ in server.requests] == ["http://weights.invalid/a.h5"]


def test_no_proxy_of_the_environment_is_respected(keras, content, monkeypatch, tmp_path):
    with Server() as closed:
        monkeypatch.setenv("HTTP_PROXY", closed.root)
    monkeypatch.setenv("NO_PROXY", "")
    assert refusal(keras, tmp_path).startswith("the proxy of HTTPS_PROXY or HTTP_PROXY")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert bring(keras, tmp_path).read_bytes() == content


def test_the_certificates_of_the_environment_are_used(content, server, monkeypatch, tmp_path):
    authority, certificate, bundle = trustme.CA(), tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(bundle)
    folder = tmp_path / "models"
    folder.mkdir()
    with Server(certificate) as secure:
        source = secure.source("/a.h5", content)
        reason = refusal(source, folder)
        assert reason.startswith("its certificate is not trusted (")
        assert "REQUESTS_CA_BUNDLE" in reason
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
        assert "nowhere.pem" in refusal(source, folder)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert bring(source, folder).read_bytes() == content


def test_https_is_never_left_for_http(content, server, monkeypatch, tmp_path):
    """Whoever sits between could give another file."""
    authority, certificate, bundle = trustme.CA(), tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    folder = tmp_path / "models"
    folder.mkdir()
    server.files["/plain.h5"] = content
    with Server(certificate) as secure:
        source = secure.source("/a.h5", content)
        secure.faults["/a.h5"].redirect = f"{server.root}/plain.h5"
        assert "redirects from https to http://127.0.0.1" in refusal(source, folder)
        assert server.requests == []
        secure.files["/b.h5"] = content
        secure.faults["/a.h5"].redirect = f"{secure.root}/b.h5"
        assert bring(source, folder).read_bytes() == content
