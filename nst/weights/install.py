"""Official weights become a model of ours: fetched from the web or added by hand, whole or not.

Either way the weights are checked, converted once to our ONNX form and put into the user's folder
under the model's name, where `weights.find` looks.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nst.errors import NstError, brief, warn
from nst.vgg import weights
from nst.vgg.weights import Network
from nst.weights import download, formats, packages, sources
from nst.weights.download import Show, Unavailable
from nst.weights.sources import PREPROCESSINGS, Source


def fetch(model: str, show: Show) -> Path:
    """Bring ``model`` from the first of its sources that works; return the model file.

    What is installed and undamaged is left as it is.  Two processes at once bring it once.
    ``show(host, bytes that are here, bytes in all)`` is called as they come.  Warns with
    NstWarning of every source that does not work, saying why.

    Raises NstError for a model that nobody publishes, if no source works, and for a full disk.
    """
    candidates = sources.of(model)
    if not candidates:
        raise NstError(_unpublished(model))
    with _alone(model) as path:
        if _is_sound(path):
            return path
        for source in candidates:
            try:
                network = _bring(source, path.parent, show)
            except Unavailable as reason:
                warn(f"{source.place}: {reason}.")
                continue
            _write(network, path)
            _remove_downloads(model, path.parent)
            return path
    raise NstError(
        f"{model} could not be fetched from any of its {len(candidates)} sources; try again, "
        f"or get one of these files in another way and run `nst models add {model} FILE`."
    )


def add(model: str, file: Path, preprocessing: str | None = None) -> Path:
    """Make ``file`` (.h5, .safetensors, .onnx or .npz; see `formats`) the model ``model``.

    ``preprocessing`` names what its weights expect of an image, one of PREPROCESSINGS, where the
    file does not say it.  Returns the model file; one of that name is replaced.  Raises NstError
    as `formats.read` does.
    """
    if not sources.of(model):
        raise NstError(_unpublished(model))
    network = formats.read(file, model, PREPROCESSINGS[preprocessing] if preprocessing else None)
    with _alone(model) as path:
        _write(network, path)
    return path


def _bring(source: Source, folder: Path, show: Show) -> Network:
    """Download and read one source.  A file that turns out to be a wrong one is removed.

    Raises Unavailable for whatever is wrong with the source, and NstError for what is with the
    disk.
    """
    try:
        bring = packages.bring if source.requirement else download.download
        file = bring(source, folder, show)
    except (Unavailable, NstError):
        raise
    except Exception as error:  # the next source may work all the same
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    try:
        return formats.read(file, source.model, source.preprocessing, source.pin)
    except NstError as error:
        raise Unavailable(str(error).removeprefix(f"{file} ").removesuffix(".")) from None
    finally:
        file.unlink()


def _write(network: Network, path: Path) -> None:
    from nst.vgg.export import export_network  # onnx takes a while to import

    export_network(network, path)


def _is_sound(path: Path) -> bool:
    """Tell whether the model is there, whole and itself; warn if it is there and is not."""
    if not path.exists():
        return False
    try:
        formats.read(path, path.stem)
    except NstError as error:
        warn(f"{error} It is replaced.")
        return False
    return True


@contextmanager
def _alone(model: str) -> Iterator[Path]:
    """Hold the model's lock and yield the path of its file, in a folder that exists."""
    import filelock

    folder = weights.user_folder()
    if folder is None:
        raise NstError("this user has no folder of their own; let NST_MODELS name one.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f".{model}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            warn(f"another process is at work on {model}; waiting for it.")
            lock.acquire()
    except OSError as error:
        raise NstError(
            f"cannot write into {brief(folder)}: {error.strerror or error}; let NST_MODELS name a "
            "folder of yours."
        ) from error
    try:
        yield folder / f"{model}.onnx"
    finally:
        lock.release()


def _remove_downloads(model: str, folder: Path) -> None:
    """Remove what sources that did not work have left behind."""
    for pattern in (f"{model}-*.part", f"{model}-*.tag"):
        for left in folder.glob(pattern):
            left.unlink()
    for left in folder.glob(f"{model}-{packages.PREFIX}*"):  # of one that was killed
        shutil.rmtree(left, ignore_errors=True)


def _unpublished(model: str) -> str:
    published = dict.fromkeys(source.model for source in sources.SOURCES)
    if model == weights.EMBEDDED:
        return f"{model} comes with nst; what can be fetched or added is {', '.join(published)}."
    return f"unknown model {model!r}; what can be fetched or added is {', '.join(published)}."
