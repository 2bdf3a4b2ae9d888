"""From the words of a command line to settings: which options there are, and what they mean."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypedDict

from nst import demo, piped, schema
from nst.errors import NstError, brief, reason_of
from nst.film import TEMPORAL
from nst.many.jobs import KINDS, OF_ONE_PICTURE
from nst.many.sheet import SIZE, STEPS
from nst.objective.effort import EFFORTS
from nst.objective.recipes import INITS, OPTIMIZERS, RECIPES
from nst.pictures import reading
from nst.pictures.colour import COLORS
from nst.run.ending import WINDOW
from nst.settings import Painting, Settings
from nst.values import counted, shown
from nst.vgg.architecture import CONVOLUTIONS, POOLINGS, PRECISIONS
from nst.vgg.weights import EMBEDDED

FOR_TILES = "evaluate the tiles of a large picture"  # what workers do of one picture


def add_settings(
    parser: argparse.ArgumentParser, defaults: bool, without: Collection[str] = ()
) -> None:
    """Add every setting but content, and --quiet; but for those ``without``.

    The defaults are those of Settings, or there are none.
    """
    ours = RECIPES[Settings.recipe]
    if not defaults:
        parser.argument_default = argparse.SUPPRESS

    def add(name: str, *short: str, **rest: Any) -> None:
        if name in without:
            return
        option = "--" + name.replace("_", "-")
        if defaults:
            rest["default"] = getattr(Settings, name)
        parser.add_argument(*short, option, **rest)

    def more(option: str, **rest: Any) -> None:
        if defaults:
            rest["default"] = []
        parser.add_argument(option, action="append", **rest)

    if "style" not in without:
        parser.add_argument(
            "style",
            metavar="STYLE",
            nargs="?",
            default=None,
            help="image whose strokes and colours to take, or a painting that comes along: "
            f"{', '.join(demo.STYLES)}; default: {next(iter(demo.STYLES))}; each --style adds one",
        )
        more(
            "--style",
            dest="styles",
            metavar="IMAGE[:WEIGHT[:TAPS]]",
            help="one more style, blended in; a.jpg:2 counts twice as much as b.jpg:1; "
            "a.jpg:1:relu1_1,relu2_1 counts at these layers only, the fine strokes",
        )
    more(
        "--style-mask",
        metavar="FILE",
        help="look only where this image is white, soft edges stay soft; once for each style, "
        "`none` for everywhere",
    )
    more(
        "--content-mask",
        metavar="FILE",
        help="paint the style only where this image is white; once for each style likewise",
    )
    add(
        "output",
        "-o",
        type=_path,
        help="where to write the result: .png, .jpg, .webp, .tiff or .avif; - is standard output",
    )
    add(
        "size",
        type=int,
        help="longer side of the result in pixels, its aspect is the photograph's, which is "
        f"enlarged if it is smaller; default: the recipe's, {ours.size} for nst",
    )
    add(
        "steps",
        type=_numbers,
        metavar="N|N,N,...",
        help="evaluations of the objective, over all scales or at each; default: the recipe's, "
        f"{ours.steps} for nst",
    )
    add(
        "until",
        type=float,
        metavar="PERCENT",
        help=f"end each size when {WINDOW} steps bring the loss down by less than this; --steps "
        f"remains the most; 0: never; default: the recipe's, {ours.until:g} for nst",
    )
    add(
        "effort",
        choices=tuple(EFFORTS),
        help="what --size, --steps and --until are where they are not given: draft has "
        f"{EFFORTS['draft'].size} pixels and {EFFORTS['draft'].most} steps at most, best "
        f"{EFFORTS['best'].times:g} times the steps, and takes them all",
    )
    add(
        "preview",
        action="store_true",
        help=f"paint a draft of {EFFORTS['draft'].size} pixels first, save it as the output, and "
        "go on from it",
    )
    add(
        "scales",
        type=_scales,
        metavar="auto|N|SIZE,SIZE,...",
        help="how many sizes to paint at, coarse to fine, or which; auto starts at about 256 "
        f"pixels; default: the recipe's, {ours.scales} for nst",
    )
    add(
        "scale_factor",
        type=float,
        metavar="F",
        help="how much larger each size is than the one before; default: the recipe's, "
        f"{ours.scale_factor:g} for nst",
    )
    add("model", help="vgg16, vgg19, vgg16-slim, an .onnx file, or auto: vgg16 where installed")
    add("device", choices=("auto", "cpu", "cuda"), help="where to compute")
    add("recipe", choices=tuple(RECIPES), help="whose objective to minimise")
    add(
        "content_weight",
        type=float,
        help="keep more of the photograph: a factor on the recipe's; 2 is visible, 5 strong",
    )
    add(
        "style_weight",
        type=float,
        help="take more of the painting: a factor on the recipe's; 2 is visible, 5 strong",
    )
    add("tv_weight", type=float, help="softer strokes, less noise: total variation, a factor")
    add(
        "edges",
        type=float,
        metavar="WEIGHT",
        help="keep the photograph's lines, such as a face's: 10 is visible, 40 strong and grainy",
    )
    parser.add_argument(
        "--tap-weights",
        type=_path,
        metavar="FILE.toml",
        help="tables [content] and [style] of tap = weight, in place of the recipe's",
    )
    add(
        "strength",
        type=float,
        help="from 0, the photograph, to 1, the full style; 0.5 is about half way",
    )
    add("style_scale", type=float, help="size of the style's strokes: 2 for twice as large")
    add(
        "color",
        choices=COLORS,
        help="whose colours: the style's, and as much of each as it has; the same, as the losses "
        "leave them; the content's, chroma by pixel; the same, but painted in grey first; or the "
        "style's, first matched to the content's mean and covariance",
    )
    add(
        "optimizer",
        choices=OPTIMIZERS,
        help=f"default: the recipe's, {ours.optimizer} for nst",
    )
    add("pooling", choices=POOLINGS, help=f"default: the recipe's, {ours.pooling} for nst")
    add(
        "conv",
        choices=CONVOLUTIONS,
        help="on a CPU: the fastest algorithm, or always the plain one, without Winograd's",
    )
    add("precision", choices=PRECISIONS, help="on a GPU: tf32 is faster, with 10 bits of mantissa")
    add(
        "init",
        metavar="|".join((*INITS, "FILE")),
        help=f"what to start from; default: the recipe's, {ours.init} for nst",
    )
    add("seed", type=int, help="of the noise")
    add("save_every", type=int, metavar="N", help="save a frame every N steps; 0: none")
    add("plot", action="store_true", help="write content | mixed | style, and the loss curves")
    add("log", type=_place, metavar="FILE.csv", help="write the losses of every step")
    add("report", type=_place, metavar="FILE.html", help="write a page that shows the run")
    add(
        "checkpoint",
        type=_place,
        metavar="FOLDER",
        help="save the run on the way, for `nst resume FOLDER`; without it, a run of more than "
        "five minutes is saved beside the output",
    )
    add("memory", metavar="4GB", help="the most to use; auto: most of what is free")
    if "quiet" not in without:
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_stylize(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst stylize` takes."""
    _add_content(parser)
    add_settings(parser, defaults)
    _add_json(parser)
    _add_cluster(parser, FOR_TILES)


def add_estimate(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst estimate` takes; what it prints is what is asked for, so it is never quiet."""
    _add_content(parser)
    add_settings(parser, defaults, ("quiet",))


def _add_content(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "content",
        type=_path,
        nargs="?",
        metavar="CONTENT",
        help="image whose objects to keep",
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=_path,
        metavar="RESULT.png",
        help="paint again what a result says about itself, with what else is given",
    )


def add_demo(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst demo` takes."""
    add_settings(parser, defaults)
    _add_json(parser)
    _add_cluster(parser, FOR_TILES)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        dest="as_json",
        action="store_true",
        help="print one object a picture on standard output: content, style, output, status, "
        "seconds, losses, error",
    )


def _add_cluster(parser: argparse.ArgumentParser, done: str) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"{done}, on so many processes of this machine",
    )
    _add_scheduler(parser)


def _add_scheduler(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="the same on the workers of a Dask scheduler, such as tcp://127.0.0.1:8786",
    )


def add_batch(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst batch` takes."""
    parser.add_argument(
        "photographs",
        nargs="*",
        metavar="PHOTO",
        help="an image, a folder of images, or a glob such as 'a/*.jpg'",
    )
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="IMAGE",
        help="paint each photograph in this style, or painting that comes along: "
        f"{', '.join(demo.STYLES)}; once for each style",
    )
    parser.add_argument(
        "--pairs",
        type=_path,
        metavar="LIST.csv",
        help="instead: lines of photograph,style or photograph,style,result.png; paths begin "
        "where the list is",
    )
    parser.add_argument(
        "-o",
        "--output",
        dest="folder",
        type=_place,
        required=True,
        metavar="FOLDER",
        help="of the results, photograph-style.png, and of batch.jsonl, what became of each",
    )
    parser.add_argument(
        "--recursive", action="store_true", help="look into the folders in folders too"
    )
    parser.add_argument(
        "--format", dest="kind", choices=KINDS, default=KINDS[0], help="of the results"
    )
    _add_json(parser)
    _add_cluster(parser, "paint several pictures at once")
    parser.add_argument(
        "--shared",
        dest="shared_folder",
        action="store_true",
        help="workers of --scheduler have the same folders: they read and write files themselves",
    )
    add_settings(parser, defaults, OF_ONE_PICTURE)


def add_sheet(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst sheet` takes."""
    parser.add_argument("photograph", metavar="PHOTO", help="image to paint")
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="IMAGE",
        help="one of the styles, once for each; default: the paintings that come along",
    )
    parser.add_argument(
        "-o", "--output", type=_path, default=Path("sheet.png"), help="where to write the sheet"
    )
    parser.add_argument("--size", type=int, default=SIZE, help="longer side of each picture")
    parser.add_argument("--steps", type=_numbers, default=STEPS, metavar="N", help="of each")
    add_settings(parser, defaults, (*OF_ONE_PICTURE, "size", "steps", "plot", "save_every"))


def add_video(parser: argparse.ArgumentParser, defaults: bool = True) -> None:
    """Add what `nst video` takes."""
    parser.add_argument(
        "film", metavar="FILM", help="a video, a GIF, a folder of pictures, or a glob of them"
    )
    parser.add_argument(
        "--style",
        dest="styles",
        action="append",
        default=[],
        metavar="IMAGE[:WEIGHT[:TAPS]]",
        help="paint it in this style, or painting that comes along: "
        f"{', '.join(demo.STYLES)}; several are blended; default: {next(iter(demo.STYLES))}",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=_place,
        required=True,
        metavar="RESULT",
        help="a name that ends in .mp4, .m4v, .mov, .mkv, .webm or .gif, or a folder for pictures",
    )
    parser.add_argument(
        "--temporal",
        type=float,
        default=TEMPORAL,
        metavar="WEIGHT",
        help="how much a frame keeps of those before it, where the optical flow knows them",
    )
    parser.add_argument(
        "--frame-steps",
        type=int,
        metavar="N",
        help="the most steps for a frame that is not the first of its scene; it ends sooner where "
        "steps cease to bring anything; default: 0.13 of a photograph's work",
    )
    parser.add_argument(
        "--rate", metavar="N|N/N", help="frames a second of a row of pictures; default: 25"
    )
    parser.add_argument(
        "--scene",
        type=int,
        metavar="N",
        help="paint only the N-th scene; the film is written when all are painted",
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        nargs="?",
        const="auto",
        metavar="N",
        help="paint several scenes at once, on so many processes of this machine; without a "
        "number, or auto: as many as memory, CPUs and scenes allow",
    )
    _add_scheduler(parser)
    apart = (*OF_ONE_PICTURE, "plot", "save_every")
    add_settings(parser, defaults, apart)


def add_studio(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst studio` takes."""
    parser.add_argument(
        "-o",
        "--output",
        dest="folder",
        type=_place,
        default=Path("nst-studio"),
        metavar="FOLDER",
        help="of the results, and in its folder inputs what they are painted of",
    )
    parser.add_argument(
        "--model", default=Settings.model, help="what `auto` in the page is: a name, or a file"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default=Settings.device, help="where to paint"
    )
    parser.add_argument(
        "--memory", metavar="4GB", default=Settings.memory, help="the most to use for a painting"
    )
    add_page(parser)


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add what a command takes that opens a page."""
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0: one that is free")
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="only print the address"
    )


def add_resume(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst resume` takes."""
    parser.add_argument("folder", type=_path, metavar="FOLDER", help="that --checkpoint named")
    _add_cluster(parser, FOR_TILES)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_report(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst report` takes."""
    parser.add_argument("folder", type=_path, metavar="FOLDER", help="that --checkpoint named")
    parser.add_argument(
        "-o", "--output", type=_place, metavar="FILE.html", help="default: beside it"
    )


def add_lesson(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst lesson` takes."""
    from nst.lesson.subject import LARGEST, SMALLEST, USUAL

    parser.add_argument(
        "content", type=_path, nargs="?", metavar="PHOTO", help="default: the demo's photograph"
    )
    parser.add_argument(
        "style", nargs="?", default="swirl", metavar="STYLE", help="a painting, or a demo style"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=USUAL,
        help=f"the pictures' longer side in pixels, {SMALLEST} to {LARGEST}",
    )
    parser.add_argument("--model", default=EMBEDDED, help="a known name, or an .onnx file")
    parser.add_argument(
        "--export", type=_place, metavar="FILE.html", help="write a copy that needs no server"
    )
    add_page(parser)


def add_recipes(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst recipes` takes."""
    parser.add_argument(
        "name", nargs="?", choices=tuple(RECIPES), metavar="NAME", help="one of them"
    )


def add_export(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst export` takes."""
    parser.add_argument("--model", default=Settings.model, help="a known name, or an .onnx file")
    parser.add_argument(
        "--taps", default=",".join(RECIPES[Settings.recipe].taps), help="where to read"
    )
    parser.add_argument("--pooling", choices=POOLINGS, help="default: as the model was trained")
    parser.add_argument("-o", "--output", type=_place, default=Path("models"), help="folder")


def add_fetch(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst models fetch` takes."""
    parser.add_argument("model", metavar="NAME", help="of the list that `nst models` prints")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def add_add(parser: argparse.ArgumentParser, _: bool = True) -> None:
    """Add what `nst models add` takes."""
    parser.add_argument("model", metavar="NAME", help="what the file is: vgg16 or vgg19")
    parser.add_argument("file", type=_path, metavar="FILE", help="the weights")
    parser.add_argument(
        "--preprocessing",
        choices=("caffe", "torchvision"),
        help="the colours that the weights expect, where the file does not say and is not known: "
        "BGR from 0 to 255 less the mean, or RGB from 0 to 1 less the mean over the deviation",
    )


def _path(text: str) -> Path:
    """Return the path that a word means; an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; give that of a file or a folder")
    return Path(text)


def _place(text: str) -> Path:
    """Return the path that a word means as a place to write: none is standard output."""
    if text == piped.STDOUT:
        raise argparse.ArgumentTypeError(
            "- is standard output, for `nst stylize` alone; name a file or a folder"
        )
    return _path(text)


def _numbers(text: str) -> int | tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number, nor a list such as 120,60,40"
        ) from None
    return numbers if "," in text else numbers[0]


def _workers(text: str) -> str | int:
    try:
        return "auto" if text == "auto" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, nor auto") from None


def _scales(text: str) -> str | int | tuple[int, ...]:
    return text if text == "auto" else _numbers(text)


def settings_of(content: Path | None, **options: Any) -> Settings:
    """Return the settings that the arguments of a command mean; NstError says what is wrong."""
    if content is None:
        raise NstError("there is no CONTENT to paint; name an image, or a result with --from.")
    style = {"style": demo.style_path(next(iter(demo.STYLES)))}  # unless another is named
    return Settings(content=content, **style | options_of(**options))


def options_of(
    style: str | None = None,
    styles: Sequence[str] = (),
    style_mask: Sequence[str] = (),
    content_mask: Sequence[str] = (),
    tap_weights: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the options as Settings have them."""
    named = [*([] if style is None else [style]), *styles]
    if not named and (style_mask or content_mask):
        raise NstError("--style-mask and --content-mask belong to a style; name that too.")
    if named:
        masks = _one_each("--style-mask", style_mask, named)
        regions = _one_each("--content-mask", content_mask, named)
        options["style"] = tuple(map(_painting, named, masks, regions))
    return options | ({} if tap_weights is None else _read_taps(tap_weights))


def _painting(text: str, mask: Path | None, region: Path | None) -> Painting:
    """Return what IMAGE[:WEIGHT[:TAPS]] means; a name may have a colon in it."""
    name, weight, taps = _parts(text)
    return Painting(Path(name), float(weight), mask, region, taps)


def _parts(text: str) -> tuple[str, str, tuple[str, ...] | None]:
    """Return the name, the weight and the taps of a style; what is no weight is of the name."""
    if reading.exists(text):
        return text, "1", None
    before, _, taps = text.rpartition(":")
    name, colon, weight = before.rpartition(":")
    if colon and _is_number(weight) and not _is_number(taps):
        return name, weight, tuple(tap.strip() for tap in taps.split(","))
    if before and _is_number(taps):
        return before, taps, None
    if before and reading.exists(before):
        raise NstError(
            f"the style is {shown(text)}, and {shown(taps)} is no weight: give a number behind "
            f"the colon, such as {brief(before)}:2."
        )
    return text, "1", None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _one_each(option: str, masks: Sequence[str], styles: Sequence[str]) -> list[Path | None]:
    """Return a mask for each style: all None if none was given."""
    if masks and len(masks) != len(styles):
        raise NstError(
            f"{option} is given {counted(len(masks), 'time')}, and there "
            f"{'is' if len(styles) == 1 else 'are'} {counted(len(styles), 'style')}; give it "
            "once for each, in their order, `none` for no mask."
        )
    return [None if mask == "none" else Path(mask) for mask in masks] or [None] * len(styles)


class _Tables(TypedDict, total=False):
    """What a file of tap weights has; of the weights themselves `Settings` knows the range."""

    content: dict[str, Any]
    style: dict[str, Any]


def _read_taps(path: Path) -> dict[str, Any]:
    """Return the weights at each tap from a TOML file with the tables [content] and [style]."""
    try:
        with path.open("rb") as file:
            text = file.read(4 * schema.MOST_OF_A_TABLE)  # of bytes
    except OSError as error:
        reason = reason_of(error)
        raise NstError(f"cannot read {path}: {reason}; check --tap-weights.") from error
    tables = schema.parse_toml(text, str(path))
    if unknown := set(tables) - {"content", "style"} or not tables:
        found = brief(", ".join(sorted(tables))) if unknown and tables else "nothing"
        raise NstError(
            f"{path} has {found}; give the tables [content] and [style], of lines such as "
            "relu3_1 = 2.0."
        )
    read = schema.convert(tables, _Tables, str(path))
    return {f"{kind}_taps": taps for kind, taps in read.items()}
