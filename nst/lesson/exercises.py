"""Predict, then look: questions whose right answer is computed, on the reader's own pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.lesson import blindness, coarse, gram_matrix, pulls, slope, stepping
from nst.lesson.pieces import shown
from nst.lesson.subject import Subject

UNMEASURED = 0.1  # how far apart the best measured slope may be from the derived one


@dataclass(frozen=True)
class Exercise:
    """A question with some answers; ``solve`` returns which is right, and why.

    None is right where these pictures leave nothing to predict.
    """

    chapter: int
    question: str
    choices: Sequence[str]
    solve: Callable[[Subject], tuple[int | None, str]]


def _field(subject: Subject) -> tuple[int, str]:
    architecture = subject.vgg.network.architecture
    tap = "relu3_1"
    stride = architecture.stride(tap)
    side = stride + 2 * architecture.radius(tap)
    shallow = architecture.stride("relu2_1") + 2 * architecture.radius("relu2_1")
    right = 0 if side == shallow else 1 if side > 2 * shallow else 2
    return right, (
        f"A feature of relu2_1 sees {shallow} x {shallow} pixels, one of {tap} {side} x {side}: "
        "each layer adds the neighbours of what the one before it sees, and a pool doubles how "
        "far apart neighbours are."
    )


def _relu(subject: Subject) -> tuple[int, str]:
    negative = subject.layers["conv1_1"] < 0
    after = subject.layers["relu1_1"][negative]
    right = 1 if not after.any() else 0
    return right, (
        f"{np.mean(negative):.0%} of the numbers of conv1_1 are below 0, and in relu1_1 the "
        f"largest of these is {shown(after.max())}: a ReLU turns what is negative into 0."
    )


def _shuffle(subject: Subject) -> tuple[int, str]:
    found = gram_matrix.shuffle(subject, "relu1_1", 3, 100)
    right = 0 if found["apart"] < 1e-5 else 1
    return right, (
        f"gram[3, 3] was {shown(found['value'])} and is {shown(found['value_after'])}; the whole "
        f"matrix is apart by {shown(found['apart'])}, which is rounding. The mean runs over all "
        "pixels, in whatever order."
    )


def _shuffle_one(subject: Subject) -> tuple[int, str]:
    features = subject.features["relu1_1"]
    k = kernels.of(features)
    changed = features.copy()
    changed[3] = gram_matrix.shuffle_pixels(features[3:4], 1.0)[0]
    before, after = k.gram(features), k.gram(changed)
    differs = ~np.isclose(before, after, rtol=1e-4, atol=1e-7)
    cross = np.zeros_like(differs)
    cross[3], cross[:, 3] = True, True
    cross[3, 3] = False
    outside = bool(differs[~cross].any())
    right = 2 if not outside else 1
    return right, (
        f"{differs.sum()} entries changed, all of them in row 3 or column 3. gram[3, 3] did not: "
        "it is the mean square of one map, and that does not ask where. The others ask whether "
        "two patterns are in the same places."
    )


def _double(subject: Subject) -> tuple[int, str]:
    features = subject.features["relu1_1"]
    k = kernels.of(features)
    ratio = float(k.gram(2 * features)[3, 3] / k.gram(features)[3, 3])
    return {2: 0, 4: 1}.get(round(ratio), 2), (
        f"gram[3, 3] becomes {shown(ratio)} times what it was: both maps of a product are doubled."
    )


def _direction(subject: Subject) -> tuple[int | None, str]:
    _, d_image = slope.gradient(subject, "style")
    plane, row, column = slope.strongest_pixel(d_image)
    found = slope.pixel_slope(subject, "style", row, column, slope.COLOURS[plane], 0.003)
    claimed = float(found["claimed"])
    fell = found["above"].number < found["below"].number
    if claimed == 0 or fell != (claimed < 0):
        return None, (
            f"There is nothing to predict here: {found['where']} is {shown(claimed)}, and of the "
            "gradient that is farthest from 0. So small a slope is lost in rounding."
        )
    return 0 if fell else 1, (
        f"{found['where']} is {shown(claimed)}. With less of it the loss was "
        f"{found['below'].number:.10g}, with more {found['above'].number:.10g}. Where the "
        "gradient is negative, more makes the loss smaller."
    )


def _nudge(subject: Subject) -> tuple[int | None, str]:
    rows = slope.digits(subject)["table"].rows
    best, largest, smallest = min(rows, key=lambda row: row[1]), rows[0], rows[-1]
    if best[1] > UNMEASURED:
        return None, (
            f"There is nothing to predict here: in float32 even the best nudge, {best[0]}, is "
            f"apart by {shown(best[1])}, for the slope is too small to be measured."
        )
    if best is largest:
        bends = f"In float64 it is apart by {shown(best[2])}: so little does the loss bend."
    else:
        bends = (
            f"With {largest[0]} it is {shown(largest[1])}; in float64 too it is "
            f"{shown(largest[2])} there, for the loss bends."
        )
    if best is smallest:
        ends = "With no larger one did rounding and bending take less of it."
    else:
        ends = (
            f"With {smallest[0]} it is {shown(smallest[1])}, for the two losses agree in nearly "
            "all their digits."
        )
    right = 0 if best is largest else 2 if best is smallest else 1
    return right, f"In float32 {best[0]} is best: apart by {shown(best[1])}. {bends} {ends}"


def _wish(subject: Subject) -> tuple[int | None, str]:
    tap = "relu1_1"
    d_gram = pulls.d_gram_of(subject, tap)
    apart = np.where(np.eye(len(d_gram), dtype=bool), np.inf, d_gram)
    i, j = map(int, np.unravel_index(np.argmin(apart), d_gram.shape))
    if d_gram[i, j] >= 0:
        return None, (
            "There is nothing to predict here: no entry of two channels is below 0. The least is "
            f"d_gram[{i}, {j}], {shown(d_gram[i, j])}, so the painting has more of no such pair."
        )
    found = pulls.pull(subject, tap, i, j, 1)
    grows = bool((found["first"].values <= 0).all())
    return 0 if grows else 1, (
        f"d_gram[{i}, {j}] is {shown(d_gram[i, j])}: the loss falls as the entry grows. Channel "
        f"{i} is told to grow wherever channel {j} fires, by as much as it fires there."
    )


def _nowhere(subject: Subject) -> tuple[int, str]:
    features = subject.features["relu1_1"]
    found = pulls.pull(subject, "relu1_1", 3, 11, 1)
    silent = features[11] == 0
    largest = float(np.abs(found["first"].values[silent]).max()) if silent.any() else 0.0
    return 0 if largest == 0 else 1, (
        f"Channel 11 is 0 at {silent.sum()} places, and the largest pull on channel 3 there is "
        f"{shown(largest)}: d_features[3] is a multiple of features[11]."
    )


def _adam(subject: Subject) -> tuple[int | None, str]:
    start = stepping.race_of(subject, "adam").at(0)
    moved = 255 * np.abs(stepping.first_adam_step(start.image, start.d_image))
    least, most = np.quantile(moved, 0.1), moved.max()
    if least == 0 or most > 1.1 * least:
        return None, (
            f"There is nothing to predict here: a tenth of the numbers move by {shown(least)} "
            f"grey levels or less, and the largest move is {shown(most)}. The gradient is 0 in "
            "places, or so small that what keeps Adam from dividing by 0 is not small beside it."
        )
    return 0, (
        f"Nine of ten numbers move by {shown(least)} grey levels or more, and the largest move "
        f"is {shown(most)}. At its first step Adam divides each gradient by its own size: only "
        "the sign is left. (What would be darker than black or brighter than white is cut off "
        "afterwards.)"
    )


def _constant(subject: Subject) -> tuple[int, str]:
    noise, painting = (stepping.hvass(subject, name)["combined"] for name in ("noise", "painting"))
    told = (
        f"Of the noise it is {shown(noise)}, of the painting {shown(painting)}: each loss is "
        "divided by itself, and what is left is the sum of the weights."
    )
    if shown(noise) == shown(painting):
        return 2, told
    return 0 if noise < painting else 1, (
        f"{told} Only a loss that is 0, or next to it, takes its weight out of the sum."
    )


def _counted(subject: Subject) -> tuple[int | None, str]:
    found = stepping.scale(subject, 1000, 1)
    if found["slope"] == 0:
        return None, (
            "There is nothing to predict here: the gradient at the photograph is "
            f"{shown(found['slope'])}, so nobody moves, however often the loss is counted."
        )
    right = 1 if found["plain"] > 100 * found["normalised"] else 0
    return right, (
        f"The plain step moves a typical pixel by {shown(found['plain'])} grey levels, Hvass' by "
        f"{shown(found['normalised'])}, Adam's by {shown(found['adam'])}. The last two divide the "
        "gradient by its own size."
    )


def _negative(subject: Subject) -> tuple[int, str]:
    found = blindness.compared(subject, "negative", 100, "pixels")
    seeing = tuple(name for name in blindness.SHOWN if found[name] > blindness.NOTHING)
    right = {(): 1, ("neighbours",): 3}.get(seeing, 0)
    changed = "neighbours" in seeing
    turned = "have changed" if changed else "are what they were, as those of grey always are"
    return right, (
        f"The Gram matrix says {shown(found['gram'])}, mean and covariance "
        f"{shown(found['w2'])}, the moments {shown(found['moments'])}, the neighbours "
        f"{shown(found['neighbours'])}. Turned over around the mean colour, mean and covariance "
        "are what they were, and these two are all that the first three know. The neighbours "
        f"compare the directions of the pixels, and here these {turned}."
    )


def _half(subject: Subject) -> tuple[int, str]:
    half, whole = (coarse.scales(subject, way, 0) for way in coarse.WAYS)
    return 0 if half["seen"] == whole["seen"] else 1, (
        f"It sees {half['seen']} pixels in both. Of the picture's height that is "
        f"{half['share']} at half the size, and {whole['share']} at the whole size: this is how "
        "large shapes are found."
    )


def _tiles(subject: Subject) -> tuple[int, str]:
    features = subject.features[coarse.TAP]
    strongest = int(kernels.of(features).gram(features).diagonal().argmax())
    found = coarse.tiles(subject, 48, 0, strongest)
    added = abs(found["added"] - found["whole"]) < 1e-3 * abs(found["whole"])
    return 0 if added else 1, (
        f"Of {found['where']} the parts of the {found['tiles']} tiles add up to "
        f"{shown(found['added'])}, and the whole picture has {shown(found['whole'])}. A sum over "
        "pixels does not ask in which order, and not in which tile."
    )


EXERCISES: dict[str, Exercise] = {
    "field": Exercise(
        1,
        "Go from relu2_1 to relu3_1, one pool and a few convolutions deeper. How many pixels "
        "does one feature see now?",
        ("as many", "more than twice as many along a side", "a few more along a side"),
        _field,
    ),
    "relu": Exercise(
        1,
        "Some sums of products come out negative. What does relu1_1 have there?",
        ("the same number", "0", "the number without its sign"),
        _relu,
    ),
    "shuffle": Exercise(
        2,
        "All pixels of the maps change places, in the same way in every map. What becomes of the "
        "Gram matrix?",
        ("it stays", "it changes a little", "nothing is left of it"),
        _shuffle,
    ),
    "shuffle one": Exercise(
        2,
        "Now only the pixels of map 3 change places, and all other maps stay. Which entries of "
        "the Gram matrix change?",
        ("none", "all", "those of row 3 and column 3, but not gram[3, 3]"),
        _shuffle_one,
    ),
    "double": Exercise(
        2,
        "Every feature becomes twice as large. What becomes of an entry of the Gram matrix?",
        ("twice as large", "four times as large", "it stays"),
        _double,
    ),
    "direction": Exercise(
        3,
        "Take the number of the picture whose gradient is farthest from 0, and make it larger. "
        "Look at the sign of the gradient in the figure first. Does the style loss fall or grow?",
        ("it falls", "it grows"),
        _direction,
    ),
    "nudge": Exercise(
        3,
        "Which nudge measures a slope best in float32?",
        ("the largest in the table", "one in the middle", "the smallest"),
        _nudge,
    ),
    "wish": Exercise(
        4,
        "Of all pairs of two channels, take the entry (i, j) of d_gram that is farthest "
        "below 0. What is channel i told, on the way down?",
        ("to grow where channel j fires", "to grow everywhere", "to shrink where channel j fires"),
        _wish,
    ),
    "nowhere": Exercise(
        4,
        "At some places channel 11 is 0. How hard does entry (3, 11) pull on channel 3 there?",
        ("not at all", "as hard as elsewhere", "as hard as channel 3 is strong there"),
        _nowhere,
    ),
    "adam": Exercise(
        5,
        "Adam takes its first step. The gradient of one pixel is a hundred times that of another. "
        "How much farther does the one move?",
        ("no farther", "a hundred times as far", "ten times as far"),
        _adam,
    ),
    "counted": Exercise(
        5,
        "The loss is counted a thousand times. Whose step becomes a thousand times as long?",
        ("everybody's", "plain descent's only", "Adam's only", "nobody's"),
        _counted,
    ),
    "constant": Exercise(
        5,
        "Of which picture is Hvass' combined loss smaller: of noise, or of the painting itself?",
        ("of the noise", "of the painting", "of neither"),
        _constant,
    ),
    "negative": Exercise(
        6,
        "The picture is turned over around its mean colour, as a negative is. Who sees it, with "
        "the pixels as features?",
        ("all four", "none", "mean and covariance only", "the neighbours only"),
        _negative,
    ),
    "half": Exercise(
        7,
        "At half the size, how many pixels does a feature of relu3_3 see?",
        ("as many as before", "half as many along a side", "twice as many along a side"),
        _half,
    ),
    "tiles": Exercise(
        7,
        "Each tile knows the sums over its own features. How does one get those of the picture?",
        ("add them", "take their mean", "they cannot be had from tiles"),
        _tiles,
    ),
}
