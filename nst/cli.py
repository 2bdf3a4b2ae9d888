"""The command line: arguments -> Settings -> stylize -> exit status.

Exit status: 0 for done, 1 if nobody read to the end what was asked or some pictures of a batch
failed, 2 for what the user can mend (one line says how), 130 for Ctrl-C, 143 for SIGTERM: 128 and
the signal's number, as shells have it.
"""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from nst import demo, files, memory, piped, schema, streams
from nst.arguments import (
    add_batch,
    add_json,
    add_settings,
    add_sheet,
    options_of,
    settings_of,
)
from nst.errors import NstError, NstWarning, brief, readable
from nst.lookup import Lookup
from nst.many.commands import batch, heeding_signals, sheet, told_as_json
from nst.objective.recipes import RECIPES, describe, table
from nst.pictures import images, reading
from nst.run import marks
from nst.run.inputs import Inputs, prepare
from nst.run.plan import Plan, plan
from nst.run.state import State, reopen, reopen_to_paint, start
from nst.settings import APART, Painting, Settings
from nst.show.apart import matplotlib_apart
from nst.stylize import Result
from nst.terminal import DownloadBar, ProgressBar, say, show_warning, tell, warn
from nst.version import VERSION
from nst.vgg.architecture import POOLINGS

NOWHERE = Path(os.devnull, "picture.png")  # the output of what writes nothing: it is no input


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``nst`` and return its exit status."""
    with streams.lenient() as output:
        arguments = vars(_parser().parse_args(argv))
        if arguments.get("source") is not None:  # that run decides what is not given
            arguments = vars(_parser(defaults=False).parse_args(argv))
        command = arguments.pop("command")
        status = _run(command, arguments)
        output.flush()
        unheard = output.failure is not None and command in QUESTIONS
        return status or int(unheard)


def _run(command: Callable[..., int], arguments: dict[str, Any]) -> int:
    """Return the exit status of a command; say in one line what ended it, but for a bug."""
    with warnings.catch_warnings():
        if not sys.warnoptions:  # a library's own words are for who asks for them
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", NstWarning)
        warnings.showwarning = show_warning
        try:
            return command(**arguments)
        except NstError as error:
            say("nst:", error, *getattr(error, "__notes__", []))
            return 2
        except KeyboardInterrupt as interrupt:
            notes = getattr(interrupt, "__notes__", ["Nothing was written yet."])
            say()  # below the ^C that the terminal shows
            say("nst: interrupted.", *notes)
            return 128 + getattr(interrupt, "number", signal.SIGINT)
        except Exception as error:
            if not (isinstance(error, OSError) or memory.ran_out(error)):
                raise
            if isinstance(error, OSError):  # the machine refuses, wherever that was
                named = "" if error.filename is None else f": {os.fsdecode(error.filename)!r}"
                said = readable(f"{error.strerror or error}{named}")
                say("nst:", said, *getattr(error, "__notes__", []))
                return 2
            advice = "use a smaller --size, or let --memory name less, for smaller tiles."
            say("nst: memory ran out;", advice, *getattr(error, "__notes__", []))
            return 2


# --- Commands ---------------------------------------------------------------------------------


def stylize(
    source: Path | None = None, quiet: bool = False, as_json: bool = False, **options: Any
) -> int:
    """Paint CONTENT in the style of STYLE."""
    if str(options.get("output")) == piped.STDOUT:
        if as_json:
            raise NstError("--json prints on standard output, and so would -o -; give a file.")
        with piped.standard_output(**options) as path:
            _stylize(source, quiet, say, **options | {"output": path})
        return 0
    if not as_json:
        _stylize(source, quiet, tell, **options)
        return 0
    with told_as_json(source, **options) as told:
        told.append(_stylize(source, quiet, say, **options))
    return 0


def _stylize(
    source: Path | None, quiet: bool, speak: Callable[..., None], **options: Any
) -> Result:
    texts = _texts(source)
    lookup = _lookup(source, texts)
    settings = _settings(source, texts, lookup, options)
    if source is not None and settings.output is not None:
        if files.resolved(settings.output) == files.resolved(source):
            raise NstError(f"--output would overwrite {source}, which --from reads; name another.")
    inputs = _prepare(settings, source, texts, lookup)
    planned = plan(inputs)
    return _paint(inputs, planned, start(inputs, planned), quiet, speak)


def demonstrate(**options: Any) -> int:
    """Paint the photograph that comes with matplotlib: nothing to download."""
    return stylize(content=demo.content_path(), **options)


def estimate(source: Path | None = None, quiet: bool = False, **options: Any) -> int:
    """Say what painting CONTENT in the style of STYLE would take, and paint nothing."""
    texts = _texts(source)
    lookup = _lookup(source, texts)
    unwritten = {"output": NOWHERE, "log": None, "report": None, "checkpoint": None}
    settings = _settings(source, texts, lookup, options | unwritten)
    inputs = _prepare(settings, source, texts, lookup, asked=True)
    planned = plan(inputs)
    tell(_title(inputs, planned), *planned.lines)
    return 0


def resume(folder: Path, quiet: bool) -> int:
    """Go on with a run that was stopped, from its checkpoints in FOLDER."""
    _paint(*reopen_to_paint(folder), quiet)
    return 0


def _texts(source: Path | None) -> dict[str, str]:
    """Return what the result ``source`` says about itself; nothing without one."""
    if source is None:
        return {}
    reading.refuse_address(source, "--from")
    return images.read_metadata(source)


def _lookup(source: Path | None, texts: dict[str, str]) -> Lookup:
    """Return what finds the files that the result ``source`` names, beside it too."""
    if source is None:
        return Lookup()
    what = f"what {source} says of its inputs"
    hashes = schema.parse_json(texts.get("nst inputs", "{}"), what)
    sha256 = schema.convert(hashes, dict[str, str], what)
    return Lookup(f"what {source} says of its settings", None, (source.parent,), sha256)


def _settings(
    source: Path | None, texts: dict[str, str], lookup: Lookup, options: dict[str, Any]
) -> Settings:
    """Return what the ``options`` ask for, and the result ``source`` where they do not say."""
    if source is None:
        return settings_of(**options)
    if "nst settings" not in texts:
        raise NstError(f"{source} does not say how it was made; give a .png that nst painted.")
    given = {name: value for name, value in options.items() if value is not None}
    changes = options_of(**given)
    settings = Settings.from_json(texts["nst settings"], lookup, APART, **changes)
    before = schema.parse_json(texts["nst settings"], lookup.text).get("size")
    if settings.size != before and "steps" not in changes and settings.steps is not None:
        usual = replace(settings, steps=None).all_steps
        if settings.all_steps < usual:
            warn(
                f"{source} was painted in {_counted(settings.all_steps, 'step')}, and so is this "
                f"at another size; the recipe would take {usual}: give --steps for as many, or "
                "another number"
            )
    return settings


def _prepare(
    settings: Settings,
    source: Path | None,
    texts: dict[str, str],
    lookup: Lookup,
    asked: bool = False,
) -> Inputs:
    """Read the inputs; warn where another file, or network, is read than for the ``source``."""
    inputs = prepare(settings, asked)
    for name in lookup.changed(inputs.files):
        warn(
            f"{lookup.found[name]} is not the {name} that {source} was painted of (its sha256 is "
            "another); the result will differ"
        )
    before, now = texts.get("nst model", "an unknown model"), inputs.model_text
    if source is not None and now != before:
        warn(
            f"{source} was painted with {brief(before, 100)}, this is {brief(now, 100)}; the "
            "result will differ: see `nst models`"
        )
    return inputs


def _paint(
    inputs: Inputs,
    plan: Plan,
    state: State,
    quiet: bool,
    speak: Callable[..., None] = tell,
) -> Result:
    if not quiet:
        for line in (_title(inputs, plan, len(state.history)), *plan.lines):
            speak(line)
    with ProgressBar(quiet) as bar, matplotlib_apart():
        result = heeding_signals(inputs, plan, state, bar.show)
    if not quiet and speak is tell:
        tell(inputs.settings.output)
    return result


def _title(inputs: Inputs, plan: Plan, behind: int = 0) -> str:
    full, settings = plan.full, inputs.settings
    _, rows, columns = inputs.photograph.shape
    enlarged = max(full.height, full.width) > max(rows, columns)
    return (
        f"{full.width} x {full.height} pixels, {_counted(len(plan.scales), 'scale')}, "
        f"{'at most ' if settings.until else ''}{_counted(settings.all_steps, 'step')}, "
        f"{inputs.vgg.network.name}, on {inputs.device.name}"
        + (f", from step {behind + 1}" if behind else "")
        + f", in the style of {' and '.join(map(_style_name, settings.style))}"
        + (f"; the photograph, {columns} x {rows}, is enlarged" if enlarged else "")
    )


def _style_name(painting: Painting) -> str:
    """Return how a person calls it: a painting that comes along by its own name."""
    path = painting.path
    return path.stem if path in map(demo.style_path, demo.STYLES) else path.name


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def report(folder: Path, output: Path | None) -> int:
    """Show a run that was stopped, or still goes on, from its checkpoints in FOLDER."""
    from nst.show import report as reports

    inputs, planned, state = reopen(folder)
    path = output or inputs.settings.report or folder.with_name(folder.name + "-report.html")
    if output is None:
        marks.check_file(path, inputs.mark)
    with matplotlib_apart():
        image = inputs.present(inputs.device.asnumpy(state.image))
        reports.write(path, reports.of_run(inputs, planned, state, image))
    tell(path)
    return 0


def list_recipes(name: str | None) -> int:
    """List the published objectives that --recipe takes, or print one in full."""
    tell(*(table() if name is None else describe(name)).split("\n"))
    return 0


def export(model: str, taps: str, pooling: str | None, output: Path) -> int:
    """Write the forward and the backward graph of a model as .onnx files."""
    from nst.vgg.export import export_pair

    chosen = [tap.strip() for tap in taps.split(",") if tap.strip()]
    for path in export_pair(model, chosen, output, pooling):
        tell(path)
    return 0


def models() -> int:
    """List the known models, which are installed, and where their weights come from."""
    from nst.vgg import weights
    from nst.vgg.architecture import ARCHITECTURES
    from nst.weights import sources

    for name, architecture in ARCHITECTURES.items():
        path = weights.installed(name)
        state = path or f"not installed; `nst models fetch {name}` brings it"
        tell(f"{name:12}{len(architecture.convolutions):2} convolutions  {state}")
        for source in sources.of(name):
            tell(f"{'':12}{source.size / 1e6:.0f} MB, {source.licence}")
            tell(f"{'':14}{source.place}")
        if name == weights.EMBEDDED and path:
            tell(f"{'':12}{path.stat().st_size / 1e6:.0f} MB, MIT, comes with nst")
    return 0


def fetch(model: str, quiet: bool) -> int:
    """Bring official weights from the web: verified, converted once, ready for --model."""
    from nst.weights.install import fetch

    with DownloadBar(quiet) as bar:
        path = fetch(model, bar.show)
    tell(path)
    return 0


def add(model: str, file: Path, preprocessing: str | None) -> int:
    """Make a model of weights that you have: .h5, .safetensors, .onnx or .npz."""
    from nst.weights.install import add

    tell(add(model, file, preprocessing))
    return 0


def doctor() -> int:
    """Print what is installed, and what is wrong."""
    from nst.doctor import examine

    facts, problems = examine()
    tell(*facts, *(f"wrong: {problem}" for problem in problems))
    tell("nothing is wrong" if not problems else f"{len(problems)} to mend")
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
        self.exit(2, f"nst: {readable(message)}; see `{self.prog} --help`.\n")


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
        if function is stylize:
            add_json(sub)

    sub = command("demo", demonstrate)
    add_settings(sub, defaults)
    add_json(sub)

    add_batch(command("batch", batch))
    add_sheet(command("sheet", sheet))

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
