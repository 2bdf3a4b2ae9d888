"""What each command does: from the words that the parser has read to an exit status."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst import demo, files, piped, schema
from nst.arguments import options_of, settings_of
from nst.errors import NstError, brief, warn
from nst.lookup import Lookup
from nst.many.cluster.poster import shared_out
from nst.many.commands import heeding_signals, told_as_json
from nst.objective.recipes import describe, table
from nst.pictures import images, reading
from nst.run import marks
from nst.run.ending import WINDOW
from nst.run.inputs import Inputs, prepare
from nst.run.plan import Plan, plan, plan_to_paint
from nst.run.state import State, reopen, reopen_to_paint, start
from nst.settings import APART, Painting, Settings
from nst.show.apart import matplotlib_apart
from nst.stylize import Result, preview
from nst.terminal import DownloadBar, ProgressBar, say, tell
from nst.values import counted

LONG = 180  # seconds: of a run that takes longer it is said what would be sooner
NOWHERE = Path(os.devnull, "picture.png")  # the output of what writes nothing: it is no input


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
        told.result = _stylize(source, quiet, say, told.take, **options)
    return 0


def _stylize(
    source: Path | None,
    quiet: bool,
    speak: Callable[..., None],
    on_settings: Callable[[Settings], None] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> Result:
    texts = _texts(source)
    lookup = _lookup(source, texts)
    settings = _settings(source, texts, lookup, options)
    if on_settings is not None:
        on_settings(settings)
    if source is not None and settings.output is not None:
        if files.resolved(settings.output) == files.resolved(source):
            raise NstError(f"--output would overwrite {source}, which --from reads; name another.")
    inputs = _prepare(settings, source, texts, lookup)
    begun = _preview(inputs, quiet, speak)
    try:
        planned = plan_to_paint(inputs)
    except KeyboardInterrupt as interrupt:
        if begun is not None:
            interrupt.add_note(f"The preview is in {settings.output}.")
        raise
    with shared_out(inputs, planned, workers, scheduler) as planned:
        return _paint(inputs, planned, begun or start(inputs, planned), quiet, speak)


def _preview(inputs: Inputs, quiet: bool, speak: Callable[..., None]) -> State | None:
    """Paint, save and name the draft that the run begins with; None where it is not larger."""
    with ProgressBar(quiet) as bar, matplotlib_apart():
        draft = preview(inputs, bar.show, heeding_signals)
    if draft is None:
        return None
    state, _ = draft
    if not quiet:
        _, height, width = state.image.shape
        speak(f"{inputs.settings.output}: a preview, {width} x {height}")
    return state


def demonstrate(**options: Any) -> int:
    """Paint the photograph that comes with matplotlib: nothing to download."""
    return stylize(content=demo.content_path(), **options)


def estimate(source: Path | None = None, **options: Any) -> int:
    """Say what painting CONTENT in the style of STYLE would take, and paint nothing."""
    texts = _texts(source)
    lookup = _lookup(source, texts)
    unwritten = {"output": NOWHERE, "log": None, "report": None, "checkpoint": None}
    settings = _settings(source, texts, lookup, options | unwritten)
    inputs = _prepare(settings, source, texts, lookup, asked=True)
    planned = plan(inputs)
    tell(_title(inputs, planned), *planned.lines)
    return 0


def resume(
    folder: Path, quiet: bool, workers: int | None = None, scheduler: str | None = None
) -> int:
    """Go on with a run that was stopped, from its checkpoints in FOLDER."""
    inputs, saved, state = reopen_to_paint(folder)
    with shared_out(inputs, saved, workers, scheduler) as planned:
        _paint(inputs, planned, state, quiet)
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
    try:
        settings = Settings.from_json(texts["nst settings"], lookup, APART, **changes)
    except NstError as error:
        if not (lost := lookup.lost()):
            raise
        raise NstError(
            f"{source} was painted of {brief(', '.join(lost))}, which is neither here nor beside "
            f"it. Copy it there, or name photograph and painting: `nst stylize CONTENT STYLE "
            f"--from {source}`."
        ) from error
    before = schema.parse_json(texts["nst settings"], lookup.text).get("size")
    if settings.size != before and "steps" not in changes and settings.steps is not None:
        usual = replace(settings, steps=None).all_steps
        if settings.all_steps < usual:
            warn(
                f"{source} was painted in {counted(settings.all_steps, 'step')}, and so is this "
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
        for line in (
            _title(inputs, plan, len(state.history)),
            *plan.lines,
            *_sooner(inputs, plan),
        ):
            speak(line)
    with ProgressBar(quiet) as bar, matplotlib_apart():
        result = heeding_signals(inputs, plan, state, bar.show)
    taken, most = len(result.history), sum(scale.steps for scale in plan.scales)
    if not quiet and result.finished and taken < most:
        speak(
            f"ended after {taken} of {most} steps: more would hardly change it (--until 0 goes on)"
        )
    if not quiet and speak is tell:
        tell(inputs.settings.output)
    return result


def _sooner(inputs: Inputs, plan: Plan) -> list[str]:
    """Return a line of what would take less time, where it takes long."""
    if plan.estimate is None or plan.estimate.seconds < LONG:
        return []
    from nst.vgg import weights

    ways = ["a smaller --size"]
    if inputs.settings.effort != "draft":
        ways.append("--effort draft")
    if inputs.vgg.network.name != weights.EMBEDDED:
        ways.append(f"--model {weights.EMBEDDED}")
    return [f"sooner: {', '.join(ways)}"]


def _title(inputs: Inputs, plan: Plan, behind: int = 0) -> str:
    full, settings = plan.full, inputs.settings
    _, rows, columns = inputs.photograph.shape
    steps = sum(scale.steps for scale in plan.scales)
    ends = settings.asked_until and any(scale.steps > 2 * WINDOW for scale in plan.scales)
    enlarged = full.longer > max(rows, columns)
    return (
        f"{full.width} x {full.height} pixels, {counted(len(plan.scales), 'scale')}, "
        f"{'at most ' if ends else ''}{counted(steps, 'step')}, "
        f"{inputs.vgg.network.name}, on {inputs.device.name}"
        + (f", from step {behind + 1}" if behind else "")
        + f", in the style of {' and '.join(map(_style_name, settings.style))}"
        + (f"; the photograph, {columns} x {rows}, is enlarged" if enlarged else "")
    )


def _style_name(painting: Painting) -> str:
    """Return how a person calls it: a painting that comes along by its own name."""
    return demo.name_of(painting.path) or painting.path.name


def report(folder: Path, output: Path | None) -> int:
    """Show a run that was stopped, or still goes on, from its checkpoints in FOLDER."""
    from nst.show import report as reports

    inputs, planned, state = reopen(folder)
    folder = files.named(folder)
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
