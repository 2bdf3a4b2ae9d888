"""The loop over scales and steps: place, measure targets, step, report, save.

Painting goes coarse to fine.  A network sees only so far (24 pixels to relu3_1), so at one size
it can paint strokes of one size; what it paints at a quarter of the size becomes the large shapes
of the result, and each finer scale adds its own strokes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from nst import devices, images, kernels
from nst.devices import Device
from nst.errors import NstError
from nst.kernels import Array
from nst.losses import gram_divisor
from nst.objective import Objective, Targets, Weights, check_finite
from nst.optimizers import Adam, Lbfgs, NormalisedDescent, Optimizer
from nst.recipes import Recipe
from nst.records import Progress, Records, Scale
from nst.settings import Settings
from nst.version import VERSION
from nst.vgg import Vgg
from nst.vgg.architecture import SMALLEST_SIDE

STEPS_RATIO = 1.5  # a scale gets so many times the steps of the next finer one


@dataclass
class Run:
    """Everything that a run has read and set up, and the picture it is painting."""

    settings: Settings
    recipe: Recipe  # with the settings' overrides
    device: Device
    vgg: Vgg
    content: np.ndarray  # (3, H, W), at the size of its file
    alpha: np.ndarray | None  # (H, W)
    style: np.ndarray
    scales: list[Scale]  # coarse to fine
    image: Array  # (3, H, W) on the device: the best so far, at the scale being painted


@dataclass(frozen=True)
class Result:
    """What a run returns."""

    image: np.ndarray  # (3, H, W) RGB in [0, 1], at full size
    alpha: np.ndarray | None  # (H, W), the content's
    history: list[dict[str, float]]  # an entry a step: step, scale, seconds, total, raw losses
    metadata: dict[str, str] = field(repr=False)  # what the PNG carries as text


def stylize(settings: Settings, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Paint ``settings.content`` in the style of ``settings.style``; save and return the result.

    ``on_progress`` is called after every step.  On Ctrl-C, or when a loss is no longer finite,
    the best picture so far is saved, and the exception goes on with a note that says where.

    Raises NstError for what the user can mend: a bad image, an unknown model or tap, no GPU.
    """
    return complete(prepare(settings), on_progress)


def prepare(settings: Settings) -> Run:
    """Read the images, open the network, and check that the run can work to its end."""
    if settings.output is not None:
        images.check_output(settings.output)
    if settings.log is not None:
        images.check_writable(settings.log)
    device = devices.pick(settings.device)
    recipe = override(settings)
    content, alpha = images.load_with_alpha(settings.content)
    style = images.load(settings.style)
    scales = plan(content.shape[1], content.shape[2], settings)
    vgg = Vgg(settings.model, recipe.taps, recipe.pooling, device)
    start = initial_image(recipe.init, settings.seed, content, style, scales[0])
    image = device.asarray(start)
    return Run(settings, recipe, device, vgg, content, alpha, style, scales, image)


def complete(run: Run, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Paint a prepared run to its end, or to where it is stopped; save and return the result.

    NumPy's matrix products run on one thread meanwhile: further threads of OpenBLAS spin while
    they wait, and take the cores from ONNX Runtime.  On an idle machine with two cores that
    costs nothing; where something else runs it makes a step several times faster.
    """
    from threadpoolctl import threadpool_limits  # takes a while to import

    output = run.settings.output
    with (
        threadpool_limits(1, user_api="blas"),
        Records(run.settings, run.scales, run.device) as records,
    ):
        try:
            paint(run, records, on_progress)
        except (KeyboardInterrupt, NstError) as error:
            if records.history and output is not None:
                finish(run, records)
                error.add_note(f"The picture after step {len(records.history)} is in {output}.")
            raise
    return finish(run, records)


def paint(
    run: Run, records: Records, on_progress: Callable[[Progress], None] | None = None
) -> None:
    """Improve ``run.image`` step by step, scale by scale."""
    for scale in run.scales:
        image = run.image = at_scale(run.image, scale, run.device)
        objective = measure(run, scale)
        optimizer = choose_optimizer(run.recipe)
        for _ in range(scale.steps):
            losses, d_image = objective.evaluate(image)
            values = losses.floats()
            check_finite(values | {"gradient": float(kernels.of(d_image).dot(d_image, d_image))})
            optimizer.step(image, losses.total, d_image)
            run.image = optimizer.best(image)
            progress = records.add(scale, values, run.image)
            if on_progress is not None:
                on_progress(progress)


def finish(run: Run, records: Records) -> Result:
    """Save the picture and what was asked for beside it, and return the result."""
    settings, full = run.settings, run.scales[-1]
    image = run.device.asnumpy(at_scale(run.image, full, run.device))
    alpha = None if run.alpha is None else images.resize(run.alpha, full.height, full.width)
    last = records.history[-1] if records.history else {}
    metadata = {
        "Software": f"nst {VERSION}",
        "nst settings": settings.as_json(),
        "nst model": f"{run.vgg.network.name} sha256 {run.vgg.network.sha256}",
        "nst losses": json.dumps({name: last[name] for name in last if name != "seconds"}),
    }
    if settings.output is not None:
        images.save(settings.output, image, alpha, metadata)
    if settings.plot:
        from nst import plots  # matplotlib takes a while to import

        content = images.resize(run.content, full.height, full.width)
        plots.triptych(content, image, run.style, settings.beside("triptych.png"))
        if records.history:
            plots.loss_curves(records.history, settings.beside("losses.png"))
    return Result(image, alpha, records.history, metadata)


# --- What paint and prepare are made of -------------------------------------------------------


def override(settings: Settings) -> Recipe:
    """Return the recipe that the settings name, with what else they say written over it."""
    recipe = settings.objective
    named = {name: getattr(settings, name) for name in ("pooling", "init", "optimizer")}
    return replace(
        recipe,
        content={t: w * settings.content_weight for t, w in recipe.content.items()},
        style={t: w * settings.style_weight for t, w in recipe.style.items()},
        smoothness=recipe.smoothness * settings.smoothness_weight,
        **{name: value for name, value in named.items() if value is not None},
    )


def plan(height: int, width: int, settings: Settings) -> list[Scale]:
    """Return the scales, coarse to fine, for a content image of ``height`` x ``width``.

    The last has the asked size, each one before it half the size of the next.  Coarse scales
    with a side under 64 pixels are left out, where nothing of the picture would be left to see,
    and so are those without a step.  A scale gets STEPS_RATIO times the steps of the next finer
    one, and still a fraction of its time.
    """
    longer_sides = [settings.size >> k for k in range(settings.scales) if settings.size >> k]
    sizes = [images.fit(height, width, longer_side) for longer_side in longer_sides]
    if min(sizes[0]) < SMALLEST_SIDE:
        raise NstError(
            f"at --size {settings.size} the result would be {sizes[0][1]} x {sizes[0][0]} pixels; "
            f"the network needs {SMALLEST_SIDE} on each side. Use a larger --size, or crop."
        )
    sizes = sizes[:1] + [size for size in sizes[1:] if min(size) >= 64]
    shares = STEPS_RATIO ** np.arange(len(sizes))[::-1]  # coarse to fine
    ends = np.round(np.cumsum(shares) / shares.sum() * settings.steps).astype(int)
    steps = np.diff(ends, prepend=0)
    scales = [Scale(*size, int(n)) for size, n in zip(sizes[::-1], steps, strict=True)]
    return [scale for scale in scales[:-1] if scale.steps] + scales[-1:]


def initial_image(
    init: str, seed: int, content: np.ndarray, style: np.ndarray, scale: Scale
) -> np.ndarray:
    """Return the image that painting starts from, (3, H, W) at ``scale``.

    ``noise`` is grey with a breath of noise, as in Hvass' tutorial; ``style``, or the image of a
    file, is cropped to the aspect of the content.
    """
    if init == "noise":
        noise = np.random.default_rng(seed).random((3, scale.height, scale.width), np.float32)
        return (128 + noise) / 255
    if init == "content":
        return images.resize(content, scale.height, scale.width)
    start = style if init == "style" else images.load(init)
    cropped = images.crop_to_aspect(start, scale.height, scale.width)
    return images.resize(cropped, scale.height, scale.width)


def at_scale(image: Array, scale: Scale, device: Device) -> Array:
    """Return ``image`` resized to ``scale``, on the device; the same array if it fits."""
    if image.shape[1:] == (scale.height, scale.width):
        return image
    return device.asarray(images.resize(device.asnumpy(image), scale.height, scale.width))


def measure(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    recipe, vgg, device = run.recipe, run.vgg, run.device
    content = images.resize(run.content, scale.height, scale.width)
    _, height, width = run.style.shape
    style = images.resize(run.style, *style_size(height, width, scale))

    features = vgg.features(device.asarray(content))
    content_targets = {tap: features[tap] for tap in recipe.content}
    features = vgg.features(device.asarray(style))
    style_targets = {}
    for tap in recipe.style:
        divisor = gram_divisor(features[tap], recipe.gram_normalization)
        style_targets[tap] = kernels.of(features[tap]).gram(features[tap], divisor)

    targets = Targets(content_targets, style_targets)
    weights = Weights(recipe.content, recipe.style, recipe.smoothness)
    return Objective(
        vgg,
        targets,
        relative_to(targets, weights) if recipe.relative else weights,
        recipe.gram_normalization,
        recipe.smoothness_kind,
        recipe.smoothness_reduction,
        recipe.combination,
    )


def style_size(height: int, width: int, scale: Scale) -> tuple[int, int]:
    """Return the (height, width) at which a style image of ``height`` x ``width`` is measured.

    It keeps its aspect; its longer side becomes that of the result, so that its strokes have the
    same size on both.  A narrow strip stays wide enough for the network.
    """
    thinnest = -(-SMALLEST_SIDE * max(height, width) // min(height, width))
    return images.fit(height, width, max(scale.height, scale.width, thinnest))


def relative_to(targets: Targets, weights: Weights) -> Weights:
    """Return the weights with each divided by the mean square of its target.

    A loss of 1 then means "as far from the target as nothing is", at every tap, for every model
    and every picture, and so a weight means the same everywhere.
    """
    return Weights(
        {tap: weights.content[tap] / _mean_square(t) for tap, t in targets.content.items()},
        {tap: weights.style[tap] / _mean_square(t) for tap, t in targets.style.items()},
        weights.smoothness,
    )


def _mean_square(target: Array) -> float:
    return max(float(kernels.of(target).dot(target, target)) / target.size, 1e-12)


def choose_optimizer(recipe: Recipe) -> Optimizer:
    """Return a fresh optimizer of the recipe's kind: each scale starts without a memory."""
    if recipe.optimizer == "descent":
        return NormalisedDescent(recipe.step_size, recipe.step_decay)
    if recipe.optimizer == "adam":
        return Adam(recipe.step_size, recipe.step_decay)
    return Lbfgs()
