"""A name that is a device, a pipe or a circle of links: none is replaced, opened or waited for."""

import os
import socket
import stat

import pytest
from picture_files import as_image
from refusals import refusal_of

from nst import Settings, cli, files, stylize
from nst.errors import NstWarning
from nst.pictures import images
from nst.run import checkpoints

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

OUTPUTS = ("--output", "--log", "--report")
BESIDE = {"triptych": ["--plot"], "losses": ["--plot"], "00001": ["--save-every", "1"]}


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request, tmp_path, monkeypatch):
    """A function that puts what is no file at a path, and the word for it."""
    opened = []
    monkeypatch.chdir(tmp_path)  # the address of a socket has to be short

    def make(path):
        if request.param == "pipe":
            os.mkfifo(path)
            opened.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # who writes does not wait
        elif request.param == "socket":
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
        else:
            try:
                os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # a /dev/null of our own
            except PermissionError:  # only root may; a terminal is a device too
                opened.extend(os.openpty())
                path.symlink_to(os.ttyname(opened[-1]))
        return path

    make.kind = request.param
    yield make
    for descriptor in opened:
        os.close(descriptor)


@pytest.fixture
def painting(settings):
    asked = settings()
    words = ["stylize", asked.content, asked.style[0].path, "--model", asked.model]
    words += ["--size", 32, "--scales", 1, "--steps", 1, "--device", "cpu", "--quiet"]
    return list(map(str, words))


def _is_no_file(path):
    return path.exists() and not path.is_file()


@pytest.mark.parametrize("option", OUTPUTS)
def test_what_is_no_file_is_not_written(painting, special, tmp_path, capsys, option):
    suffix = {"--output": ".png", "--log": ".csv", "--report": ".html"}[option]
    path = special(tmp_path / f"special{suffix}")
    words = [*painting, "-o", str(tmp_path / "out.png"), option, str(path)]
    assert cli.main(words) == 2
    told = f"nst: cannot write {path}: it is a {special.kind}; name a file\n"
    assert capsys.readouterr().err == told
    assert _is_no_file(path)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", BESIDE)
def test_nor_is_what_would_lie_beside_the_picture(painting, special, tmp_path, capsys, name):
    path = special(tmp_path / f"out-{name}.png")
    assert cli.main([*painting, "-o", str(tmp_path / "out.png"), *BESIDE[name]]) == 2
    assert f"cannot write {path}: it is a {special.kind}" in capsys.readouterr().err
    assert _is_no_file(path)


def test_a_checkpoint_is_no_special_file(painting, special, tmp_path, capsys):
    path = special(tmp_path / "saved")
    words = [*painting, "-o", str(tmp_path / "out.png"), "--checkpoint", str(path)]
    assert cli.main(words) == 2
    assert f"cannot make the folder {path}: file exists; choose" in capsys.readouterr().err
    assert _is_no_file(path)


def test_what_is_no_file_is_no_checkpoint_to_wait_for(special, tmp_path):
    special(tmp_path / "step-00000001.npz")
    assert refusal_of(checkpoints.load, tmp_path).startswith("there is no checkpoint in ")


def test_what_came_while_it_was_painted_stays(special, tmp_path, pixels):
    path = special(tmp_path / "out.png")
    told = refusal_of(images.save, path, as_image(pixels))
    assert told == f"cannot write {path}: it is a {special.kind}; name a file"
    assert _is_no_file(path)
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_log_that_became_no_file_is_not_opened(settings, special, tmp_path, monkeypatch):
    """As it is when another program puts a pipe there between the check and the run."""
    path = special(tmp_path / "losses.csv")
    monkeypatch.setattr(files, "check_writable", lambda path: None)
    with pytest.warns(NstWarning, match=f"no log was saved: .* it is a {special.kind}"):
        stylize(settings(log=path, size=32, scales=1, steps=1))
    assert _is_no_file(path)


def test_a_pipe_behind_a_descriptor_is_none_to_write(painting, tmp_path, capsys):
    """As in `--log >(program)` of a shell."""
    reader, writer = os.pipe()
    name = f"/dev/fd/{writer}"
    assert cli.main([*painting, "-o", str(tmp_path / "out.png"), "--log", name]) == 2
    assert capsys.readouterr().err == f"nst: cannot write {name}: it is a pipe; name a file\n"
    os.close(reader)
    os.close(writer)


# A link that leads back to itself


@pytest.fixture
def circle(tmp_path):
    path = tmp_path / "circle.png"
    path.symlink_to(path.name)
    return path


def test_a_batch_whose_journal_is_a_circle_of_links_is_told_so(painting, tmp_path, capsys):
    journal = tmp_path / "out" / "batch.jsonl"
    journal.parent.mkdir()
    journal.symlink_to(journal.name)
    words = ["batch", painting[1], "--style", painting[2], "-o", str(journal.parent)]
    assert cli.main([*words, *painting[3:]]) == 2
    assert capsys.readouterr().err.startswith(f"nst: cannot write {journal}: too many levels")


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_circle_of_links_is_not_written(painting, circle, tmp_path, capsys, option):
    words = [*painting, "-o", str(tmp_path / "out.png"), option, str(circle)]
    assert cli.main(words) == 2
    assert capsys.readouterr().err == (
        f"nst: cannot write {circle}: too many levels of symbolic links; choose another name or "
        "folder\n"
    )
    assert circle.is_symlink()


@pytest.mark.parametrize("place", ["content", "style", "--style-mask", "--init", "--from"])
def test_a_circle_of_links_is_not_read(painting, circle, capsys, monkeypatch, place):
    monkeypatch.chdir(circle.parent)
    words = {
        "content": [painting[0], circle.name, *painting[2:]],
        "style": [*painting[:2], circle.name, *painting[3:]],
        "--from": ["stylize", "--from", circle.name],
    }
    assert cli.main(words.get(place, [*painting, place, circle.name])) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert circle.name in told


def test_a_model_in_a_circle_of_links_is_not_found(painting, circle, capsys):
    assert cli.main([*painting, "--model", str(circle)]) == 2
    assert "model file not found: " in capsys.readouterr().err


def test_settings_see_through_links_that_hang(settings, tmp_path):
    """Where a link leads to nothing yet, the file is made there: the link stays."""
    link = tmp_path / "latest.png"
    link.symlink_to("later.png")
    asked: Settings = settings(output=link, size=32, scales=1, steps=1)
    stylize(asked)
    assert link.is_symlink()
    assert (tmp_path / "later.png").is_file()
    told = refusal_of(lambda: settings(output=link, log=tmp_path / "later.png"))
    assert told.startswith("--log would overwrite the file of --output, ")
