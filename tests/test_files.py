"""A file that is written is whole or not there, and what cannot be written is told early."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from picture_files import as_image
from refusals import raiser, refusal_of

from nst import files
from nst.pictures import images

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def old(tmp_path):
    """A file that is already there."""
    path = tmp_path / "out.png"
    path.write_bytes(b"the old file")
    return path


def _untouched(path) -> bool:
    return path.read_bytes() == b"the old file" and list(path.parent.iterdir()) == [path]


FAILURES = {
    "disk full": (
        OSError(errno.ENOSPC, "No space left on device"),
        "the disk is full; free some space or choose another disk",
    ),
    "quota": (
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        "the disk is full; free some space or choose another disk",
    ),
    "read-only": (
        OSError(errno.EROFS, "Read-only file system"),
        "read-only file system; choose another name or folder",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file(old, pixels, monkeypatch, call, name):
    failure, reason = FAILURES[name]
    monkeypatch.setattr(os, call, raiser(failure))
    message = refusal_of(images.save, old, as_image(pixels))
    assert message == f"cannot write {old}: {reason}"
    assert _untouched(old)


@POSIX
def test_a_write_that_fails_halfway_leaves_the_old_file(old, rng):
    """For real: the system stops a file of this process from growing beyond 1000 bytes."""
    import resource

    image = rng.random((3, 40, 50), np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        message = refusal_of(images.save, old, image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message == f"cannot write {old}: file too large; choose another name or folder"
    assert _untouched(old)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_ctrl_c_leaves_the_old_file(old, pixels, monkeypatch, call):
    monkeypatch.setattr(os, call, raiser(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        images.save(old, as_image(pixels))
    assert _untouched(old)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_a_block_that_fails_leaves_the_old_file(old, failure):
    def write():
        with files.replace_atomically(old) as file:
            file.write(b"half of the new")
            assert len(list(old.parent.iterdir())) == 2  # old and temporary, in one folder
            raise failure

    with pytest.raises(failure):
        write()
    assert _untouched(old)


def test_a_block_that_ends_well_replaces_the_old_file(old, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), fsync(fd)))
    with files.replace_atomically(old) as file:
        file.write(b"new")
        assert old.read_bytes() == b"the old file"
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]
    assert synced == [3]  # all of it was on the disk before it took the name


@POSIX
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, pixels, umask, mode):
    before = os.umask(umask)
    try:
        images.save(tmp_path / "out.png", as_image(pixels))
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == mode


@POSIX
def test_a_link_stays_a_link(tmp_path, pixels):
    (tmp_path / "folder").mkdir()
    link, real = tmp_path / "latest.png", tmp_path / "folder" / "real.png"
    link.symlink_to(real)
    images.save(link, as_image(pixels))
    assert link.is_symlink()
    np.testing.assert_array_equal(images.load(real), as_image(pixels))


@POSIX
def test_a_name_of_the_longest_length_is_no_trouble(tmp_path, pixels):
    path = tmp_path / ("x" * 251 + ".png")
    images.check_output(path)
    images.save(path, as_image(pixels))
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_will_work_is_not_made_yet(tmp_path, old, monkeypatch):
    images.check_output(tmp_path / "new.jpg")
    images.check_output(old)
    assert _untouched(old)
    monkeypatch.chdir(tmp_path)
    images.check_output("new.png")
    assert _untouched(old)


@pytest.mark.parametrize("act", ["check", "save"])
def test_an_output_that_cannot_work_is_refused(tmp_path, pixels, act):
    def refusal(path):
        if act == "check":
            return refusal_of(images.check_output, path)
        return refusal_of(images.save, path, as_image(pixels))

    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    nowhere, folder = tmp_path / "nowhere" / "out.png", tmp_path / "folder.png"
    inside = tmp_path / "file" / "out.png"
    assert refusal(nowhere) == (
        f"cannot write {nowhere}: its folder is not there; make it or choose another"
    )
    assert refusal(inside) == (
        f"cannot write {inside}: its folder is not there; make it or choose another"
    )
    assert refusal(folder).startswith(f"cannot write {folder}: ")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.png"]


@POSIX
def test_an_output_with_too_long_a_name_is_refused_early(tmp_path):
    path = tmp_path / ("x" * 300 + ".png")
    told = refusal_of(images.check_output, path)
    assert told.startswith(f"cannot write {path}"[:40])
    assert told.endswith("xxx.png: file name too long; choose another name or folder")
    assert len(told) < 200


def test_a_folder_that_takes_no_files_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", raiser(PermissionError(errno.EACCES, "Permission denied")))
    path = tmp_path / "out.png"
    assert refusal_of(images.check_output, path) == (
        f"cannot write {path}: permission denied; choose another name or folder"
    )


def test_a_write_protected_file_is_refused_early(old, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert refusal_of(images.check_output, old) == (
        f"cannot write {old}: the file there is write-protected; choose another name"
    )


def test_a_relative_name_is_told_with_the_folder_that_it_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refusal_of(files.check_writable, "nowhere/losses.csv")
    assert f"there is no folder {tmp_path / 'nowhere'}; make it" in told


def test_other_files_than_images_can_be_checked_too(tmp_path, old):
    files.check_writable(tmp_path / "losses.csv")
    assert _untouched(old)
    path = tmp_path / "nowhere" / "losses.csv"
    assert refusal_of(files.check_writable, path) == (
        f"cannot write {path}: its folder is not there; make it or choose another"
    )
