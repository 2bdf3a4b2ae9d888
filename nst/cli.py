"""The command line: arguments -> Settings -> stylize -> exit status.  The only file that prints.

Exit status: 0 for done, 1 if nobody read to the end what was asked, 2 for what the user can mend
(one line says how), 130 for Ctrl-C, 143 for SIGTERM and 129 for SIGHUP: 128 and the signal's
number, as shells have it.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from nst import demo, images, memory, streams
from nst import estimate as estimates
from nst.arguments import add_settings, options_of, settings_of
from nst.errors import NstError, NstWarning
from nst.objective.recipes import RECIPES, describe, table
from nst.records import Progress
from nst.runs import Run, prepare, reopen
from nst.settings import APART, Settings
from nst.signals import Signals
from nst.stylize import complete
from nst.version import VERSION
from nst.vgg.architecture import POOLINGS

NOWHERE = Path(os.devnull, "picture.png")  # the output of what writes nothing: it is no input


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``nst`` and return its exit status."""
    with streams.lenient() as output:
        arguments = vars(_parser().parse_args(argv))
        if arguments.get("source") is not None:  # what is not given comes from there
            arguments = vars(_parser(defaults=False).parse_args(argv))
        command = arguments.pop("command")
        status = _run(command, arguments)
        output.flush()
        unheard = output.failure is not None and command in QUESTIONS
        return status or int(unheard)


def _run(command: Callable[..., int], arguments: dict[str, Any]) -> int:
    """Return the exit status of a command; say in one line what ended it, but for a bug."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", NstWarning)
        warnings.showwarning = _show_warning
        try:
            return command(**arguments)
        except NstError as error:
            _say("nst:", error, *getattr(error, "__notes__", []))
            return 2
        except KeyboardInterrupt as interrupt:
            notes = getattr(interrupt, "__notes__", ["Nothing was written yet."])
            _say("\nnst: interrupted.", *notes)
            return 128 + getattr(interrupt, "number", signal.SIGINT)
        except Exception as error:
            if not (isinstance(error, OSError) or memory.ran_out(error)):
                raise
            if isinstance(error, OSError):  # the machine refuses, wherever that was
                named = "" if error.filename is None else f": {os.fsdecode(error.filename)!r}"
                _say(f"nst: {error.strerror or error}{named}", *getattr(error, "__notes__", []))
                return 2
            advice = "use a smaller --size, or let --memory name less, for smaller tiles."
            _say("nst: memory ran out;", advice, *getattr(error, "__notes__", []))
            return 2


# --- Commands ---------------------------------------------------------------------------------


def stylize(source: Path | None = None, quiet: bool = False, **options: Any) -> int:
    """Paint CONTENT in the style of STYLE."""
    texts = _texts(source)
    settings = _settings(source, texts, options)
    if source is not None and settings.output is not None:
        if settings.output.resolve() == source.resolve():
            raise NstError(f"--output would overwrite {source}, which --from reads; name another.")
    return _paint(_prepare(settings, source, texts), quiet)


def demonstrate(**options: Any) -> int:
    """Paint the photograph that comes with matplotlib: nothing to download."""
    return stylize(content=demo.content_path(), **options)


def estimate(source: Path | None = None, quiet: bool = False, **options: Any) -> int:
    """Say what painting CONTENT in the style of STYLE would take, and paint nothing."""
    texts = _texts(source)
    unwritten = {"output": NOWHERE, "log": None, "report": None, "checkpoint": None}
    run = _prepare(_settings(source, texts, options | unwritten), source, texts, asked=True)
    print(_title(run), *estimates.estimate(run).lines(), sep="\n")
    return 0


def resume(folder: Path, quiet: bool) -> int:
    """Go on with a run that was stopped, from its checkpoints in FOLDER."""
    return _paint(reopen(folder), quiet)


def _texts(source: Path | None) -> dict[str, str]:
    """Return what the result ``source`` says about itself; nothing without one."""
    return {} if source is None else images.read_metadata(source)


def _settings(source: Path | None, texts: dict[str, str], options: dict[str, Any]) -> Settings:
    """Return what the ``options`` ask for, and the result ``source`` where they do not say."""
    if source is None:
        return settings_of(**options)
    if "nst settings" not in texts:
        raise NstError(f"{source} does not say how it was made; give a .png that nst painted.")
    said = json.loads(texts["nst settings"])
    given = {name: value for name, value in options.items() if value is not None}
    changes = options_of(**given)
    kept = {name: value for name, value in said.items() if name not in {*APART, *changes}}
    return Settings.from_json(json.dumps(kept), **changes)


def _prepare(
    settings: Settings, source: Path | None, texts: dict[str, str], asked: bool = False
) -> Run:
    """Prepare a run; warn where it has another network than the ``source`` that it repeats."""
    run = prepare(settings, asked)
    before, now = texts.get("nst model", "an unknown model"), run.model_text
    if source is not None and now != before:
        warnings.warn(
            f"{source} was painted with {before}, this is {now}; the result will differ: see "
            "`nst models`",
            NstWarning,
            stacklevel=2,
        )
    return run


def _paint(run: Run, quiet: bool) -> int:
    expected = [] if run.planned else estimates.estimate(run).lines()
    if not quiet:
        print(_title(run), *expected, sep="\n", flush=True)
    with _ProgressBar(quiet) as bar, Signals(run) as signals:

        def after_step(progress: Progress) -> None:
            bar.show(progress)
            signals.check()

        with _matplotlib_apart():
            complete(run, after_step)
    if not quiet:
        print(run.settings.output)
    return 0


@contextmanager
def _matplotlib_apart() -> Iterator[None]:
    """Let matplotlib, should it be imported, leave nothing in the user's folders, nor read there.

    It keeps a list of fonts, and complains in several lines where it cannot.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with ExitStack() as stack:
        if "matplotlib" not in sys.modules and "MPLCONFIGDIR" not in os.environ:
            with suppress(OSError):  # there is no place for temporary files
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nst-"))
                os.environ["MPLCONFIGDIR"] = folder
                stack.callback(os.environ.pop, "MPLCONFIGDIR")
        yield


def _title(run: Run) -> str:
    full, settings = run.scales[-1], run.settings
    return (
        f"{full.width} x {full.height} pixels, {_counted(len(run.scales), 'scale')}, "
        f"{_counted(settings.all_steps, 'step')}, {run.vgg.network.name}, on {run.device.name}"
        + (f", from step {len(run.history) + 1}" if run.history else "")
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def report(folder: Path, output: Path | None) -> int:
    """Show a run that was stopped, or still goes on, from its checkpoints in FOLDER."""
    from nst import report as reports

    run = reopen(folder)
    path = output or run.settings.report or folder.with_name(folder.name + "-report.html")
    with _matplotlib_apart():
        reports.write(path, reports.of_run(run, run.present(run.device.asnumpy(run.image))))
    print(path)
    return 0


def list_recipes(name: str | None) -> int:
    """List the published objectives that --recipe takes, or print one in full."""
    print(table() if name is None else describe(name))
    return 0


def export(model: str, taps: str, pooling: str | None, output: Path) -> int:
    """Write the forward and the backward graph of a model as .onnx files."""
    from nst.vgg.export import export_pair

    chosen = [tap.strip() for tap in taps.split(",") if tap.strip()]
    for path in export_pair(model, chosen, output, pooling):
        print(path)
    return 0


def models() -> int:
    """List the known models, which are installed, and where their weights come from."""
    from nst.vgg import sources, weights
    from nst.vgg.architecture import ARCHITECTURES

    for name, architecture in ARCHITECTURES.items():
        path = weights.installed(name)
        state = path or f"not installed; `nst models fetch {name}` brings it"
        print(f"{name:12}{len(architecture.convolutions):2} convolutions  {state}")
        for source in sources.of(name):
            print(f"{'':12}{source.size / 1e6:.0f} MB, {source.licence}\n{'':14}{source.place}")
        if name == weights.EMBEDDED and path:
            print(f"{'':12}{path.stat().st_size / 1e6:.0f} MB, MIT, comes with nst")
    return 0


def fetch(model: str, quiet: bool) -> int:
    """Bring official weights from the web: verified, converted once, ready for --model."""
    from nst.vgg.install import fetch

    with _DownloadBar(quiet) as bar:
        path = fetch(model, bar.show)
    print(path)
    return 0


def add(model: str, file: Path, preprocessing: str | None) -> int:
    """Make a model of weights that you have: .h5, .safetensors, .onnx or .npz."""
    from nst.vgg.install import add

    print(add(model, file, preprocessing))
    return 0


def doctor() -> int:
    """Print what is installed, and what is wrong."""
    from nst.doctor import examine

    facts, problems = examine()
    print(*facts, sep="\n")
    for problem in problems:
        print(f"wrong: {problem}")
    print("nothing is wrong" if not problems else f"{len(problems)} to mend")
    return 2 if problems else 0


QUESTIONS = (estimate, list_recipes, models, doctor)  # which leave nothing but what they print

# --- Arguments --------------------------------------------------------------------------------


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one; what is None is left to the recipe."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"nst: {message}; see `{self.prog} --help`.\n")


def _parser(defaults: bool = True) -> argparse.ArgumentParser:
    """Return the parser; without ``defaults`` it tells only what was given of the settings."""
    parser = _Parser(prog="nst", description="Paint one image in the style of another.")
    parser.add_argument("--version", action="version", version=f"nst {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def command(name: str, function: Any, below: Any = commands) -> argparse.ArgumentParser:
        sub = below.add_parser(
            name,
            help=function.__doc__,
            description=function.__doc__,
            formatter_class=_Formatter,
        )
        sub.set_defaults(command=function)
        return sub

    for name, function in {"stylize": stylize, "estimate": estimate}.items():
        sub = command(name, function)
        sub.add_argument(
            "content",
            type=Path,
            nargs="?",
            metavar="CONTENT",
            help="image whose objects to keep",
        )
        sub.add_argument(
            "--from",
            dest="source",
            type=Path,
            metavar="RESULT.png",
            help="paint again what a result says about itself, with what else is given",
        )
        add_settings(sub, defaults)

    sub = command("demo", demonstrate)
    add_settings(sub, defaults)

    sub = command("resume", resume)
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="that --checkpoint named")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")

    sub = command("report", report)
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="that --checkpoint named")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE.html", help="default: beside it")

    sub = command("recipes", list_recipes)
    sub.add_argument("name", nargs="?", choices=tuple(RECIPES), metavar="NAME", help="one of them")

    sub = command("export", export)
    sub.add_argument("--model", default=Settings.model, help="a known name, or an .onnx file")
    sub.add_argument(
        "--taps", default=",".join(RECIPES[Settings.recipe].taps), help="where to read"
    )
    sub.add_argument("--pooling", choices=POOLINGS, help="default: as the model was trained")
    sub.add_argument("-o", "--output", type=Path, default=Path("models"), help="folder")

    sub = command("models", models)
    below = sub.add_subparsers(metavar="COMMAND", title="commands")
    sub = command("fetch", fetch, below)
    sub.add_argument("model", metavar="NAME", help="of the list that `nst models` prints")
    sub.add_argument("--quiet", action="store_true", help="show no progress")
    sub = command("add", add, below)
    sub.add_argument("model", metavar="NAME", help="what the file is: vgg16 or vgg19")
    sub.add_argument("file", type=Path, metavar="FILE", help="the weights")
    sub.add_argument(
        "--preprocessing",
        choices=("caffe", "torchvision"),
        help="the colours that the weights expect, where the file does not say and is not known: "
        "BGR from 0 to 255 less the mean, or RGB from 0 to 1 less the mean over the deviation",
    )

    command("doctor", doctor)
    return parser


# --- What a person sees -----------------------------------------------------------------------


class _ProgressBar:
    """A tqdm bar whose length is work, not steps: a step at full size takes longest."""

    def __init__(self, quiet: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=1.0,
            disable=quiet,
            bar_format="{percentage:3.0f}% |{bar:20}| {elapsed} < {remaining}  {desc}",
            mininterval=0.2 if sys.stderr.isatty() else 20,
        )

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, progress: Progress) -> None:
        sums = {"content": 0.0, "style": 0.0, "smoothness": 0.0}
        for name, value in progress.losses.items():
            if name != "total":
                sums[name.split()[0]] += value
        listed = "  ".join(f"{kind} {value:.3g}" for kind, value in sums.items() if value)
        size = max(progress.scale.height, progress.scale.width)
        self._bar.set_description_str(
            f"{size} px, step {progress.step}/{progress.steps}  {listed}", refresh=False
        )
        self._bar.update(progress.done - self._bar.n)


class _DownloadBar:
    """A tqdm bar of bytes, which appears with the first of them."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> "_DownloadBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, host: str, here: int, total: int) -> None:
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                disable=self._quiet,
                unit="B",
                unit_scale=True,
                bar_format="{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}  {rate_fmt}  {desc}",
                mininterval=0.2 if sys.stderr.isatty() else 20,
                initial=here,
                total=total,
            )
        self._bar.total = total
        self._bar.set_description_str(host, refresh=False)
        self._bar.update(here - self._bar.n)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say("nst: warning:", message)


def _say(*parts: object) -> None:
    print(*parts, file=sys.stderr)
