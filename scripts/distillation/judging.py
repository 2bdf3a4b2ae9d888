"""Judging: what VGG16 says of the pictures that the trained networks paint."""

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nst.pictures.images
from distillation.teacher import FILE, MEAN_BGR
from nst import kernels
from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.state import start
from nst.settings import Settings
from nst.stylize import complete
from nst.vgg import Vgg, weights
from nst.vgg.weights import Network

STYLE_TAPS, CONTENT_TAP = ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), "relu3_3"


@dataclass(frozen=True)
class Verdict:
    """What the real network says of a picture; 1 is where painting started, 0 the target."""

    style: float  # sum over STYLE_TAPS of |G - target|^2 / |G of the photograph - target|^2
    content: float  # |features - photograph's|^2 / |photograph's features|^2 at CONTENT_TAP
    seconds: float  # that painting took; NaN if the picture was there already


def judge(arguments: argparse.Namespace) -> None:
    """Paint every pair with every network and with the real one; print what that one says.

    The real network is VGG16, pooled by averages as the students are and as Gatys et al. painted
    (or by its own maxima: ``real_pooling``).  All paint as `nst` does by default. What is
    painted already is judged again; delete it to have it painted anew.
    """
    networks = {"real": real_network(arguments.teacher, arguments.real_pooling)}
    networks |= {path.stem: slim_network(path) for path in arguments.judge}
    arguments.paintings.mkdir(parents=True, exist_ok=True)
    print(f"| content, style | {' | '.join(networks)} |\n|---|{'---|' * len(networks)}")
    verdicts: dict[str, list[Verdict]] = {name: [] for name in networks}
    for content, style in read_pairs(arguments.pairs, arguments.images):
        for name, network in networks.items():
            picture = arguments.paintings / f"{content.stem}-{style.stem}-{name}.png"
            seconds = math.nan
            if not picture.exists():
                settings = Settings(
                    content,
                    style,
                    picture,
                    arguments.size,
                    arguments.evaluations,
                    style_weight=arguments.style_weight,
                    device="cpu",
                )
                seconds = paint_with(network, settings)
            image = nst.pictures.images.load(picture)
            verdict = Verdict(*measure(networks["real"], image, content, style), seconds)
            verdicts[name].append(verdict)
        cells = [_cell(verdicts[name][-1], verdicts["real"][-1]) for name in networks]
        print(f"| {content.stem}, {style.stem} | {' | '.join(cells)} |", flush=True)
    means = {name: _mean(column) for name, column in verdicts.items()}
    print(f"| mean | {' | '.join(_cell(mean, means['real']) for mean in means.values())} |")


def _cell(verdict: Verdict, real: Verdict) -> str:
    ratio = verdict.style / real.style
    took = "" if math.isnan(verdict.seconds) else f", {verdict.seconds:.0f} s"
    return f"{verdict.style:.4f} ({ratio:.2f} x), {verdict.content:.3f}{took}"


def _mean(column: list[Verdict]) -> Verdict:
    return Verdict(*np.mean([(v.style, v.content, v.seconds) for v in column], axis=0))


def measure(real: Network, image: np.ndarray, content: Path, style: Path) -> tuple[float, float]:
    """Return the ``(style, content)`` of a `Verdict` on ``image`` (3, H, W)."""
    vgg = Vgg(real, (*STYLE_TAPS, CONTENT_TAP))
    longer_side = max(image.shape[1:])
    painting, photograph = (nst.pictures.images.load(path) for path in (style, content))
    size = nst.pictures.images.fit(*painting.shape[1:], longer_side)
    wanted = vgg.features(nst.pictures.images.resize(painting, *size))
    start = vgg.features(nst.pictures.images.resize(photograph, *image.shape[1:]))
    found = vgg.features(image)
    k = kernels.of(image)
    style_loss = 0.0
    for tap in STYLE_TAPS:
        target = k.gram(wanted[tap])
        style_loss += float(k.mse(k.gram(found[tap]), target) / k.mse(k.gram(start[tap]), target))
    kept = start[CONTENT_TAP]
    return style_loss, float(k.mse(found[CONTENT_TAP], kept) / k.mse(kept, np.zeros_like(kept)))


def paint_with(network: Network, settings: Settings) -> float:
    """Paint with ``network`` instead of a known model; save the picture, return the seconds."""
    read = prepare(settings)
    inputs = replace(read, vgg=Vgg(network, read.recipe.taps))  # pooled as it is
    started = time.monotonic()
    planned = plan(inputs)
    complete(inputs, planned, start(inputs, planned))
    return time.monotonic() - started


def real_network(teacher: Path, pooling: str = "average") -> Network:
    """Return VGG16's convolutions, rearranged from BGR in 0..255 to RGB in 0..1."""
    with np.load(teacher / FILE) as stored:
        arrays = {name: stored[name].astype(np.float32) for name in stored}
    arrays["conv1_1.weight"] = arrays["conv1_1.weight"][:, ::-1]
    mean = tuple(value / 255 for value in reversed(MEAN_BGR))
    return weights.from_arrays(arrays, pooling, mean, (1 / 255,) * 3, "vgg16")


def slim_network(path: Path) -> Network:
    """Return the network of an .npz that this script wrote, or of a model file (.onnx)."""
    if path.suffix == ".onnx":
        return weights.load(path)
    with np.load(path) as stored:
        return weights.from_arrays(dict(stored), "average", name=path.stem)


def read_pairs(path: Path, folder: Path) -> list[tuple[Path, Path]]:
    """Return the pairs of a file with a content's and a style's path in ``folder`` a line."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    if any(len(line) not in (0, 2) for line in lines):
        raise SystemExit(f"distill: {path} must have a content and a style on every line.")
    return [(folder / line[0], folder / line[1]) for line in lines if line]
