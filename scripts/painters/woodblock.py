"""Woodblock print: `waves`, breakers under a low sun, in ink lines around graded blues."""

import numpy as np

from painters import Random
from painters.paintbox import blur, grid, mix, noise, ramp, rgb, smoothstep
from painters.shapes import disc, grown, polygons, spline, swelling

INK = rgb("13224a")[0]
PAPER = rgb("efe2c4")[0]
FOAM = rgb("f6eed8", "bcd6cc")  # and the shade in its hollows
SKY = rgb("1f3f78", "7f9fb0", "e6d9b4", "f2cf98", "e8a070", "d9785a")  # from the top down
BLUES = rgb("10234c", "1b4680", "3a7aa8", "86b6bd", "e3e6d0")
BANDS = [0, 3, 1, 4, 0, 2, 1, 0, 3, 1, 4, 0, 1, 2, 0, 3, 0, 1, 2, 0]  # which blue, back to face
# A breaker's profile, in its own units: from the trough up its back to the lip, and from
# the trough up its hollow face to the same lip.  Rows grow downwards.
BACK = [(0.40, -1.95), (0.10, -1.45), (-0.16, -1.02), (-0.47, -0.62), (-0.80, -0.28),
        (-1.02, 0.06), (-1.07, 0.36), (-0.97, 0.64), (-0.74, 0.80), (-0.52, 0.74)]  # fmt: skip
FACE = [(0.30, 1.75), (0.13, 1.30), (0.05, 0.90), (-0.06, 0.52), (-0.22, 0.25),
        (-0.44, 0.14), (-0.64, 0.20), (-0.75, 0.38), (-0.72, 0.58), (-0.52, 0.74)]  # fmt: skip
CLOUDS = [(0.20, 1.16, 0.46, 4), (0.44, 1.22, 0.30, 3), (0.14, 0.10, 0.26, 3)]  # and bars each


class Print:
    """A sheet of paper under one carved block after another: polygons, flat or graded."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.colour = np.empty((height, width, 3), np.float32)
        self.colour[:] = PAPER

    def press(self, shapes: list[np.ndarray], ink: np.ndarray) -> None:
        """Print polygons (N, 2) in one colour (3,) or in a graded one (H, W, 3)."""
        corners = np.concatenate(shapes) * self.height
        low = np.clip(corners.min(axis=0) - 2, 0, None).astype(int)
        high = np.clip(corners.max(axis=0) + 3, 0, (self.height, self.width)).astype(int)
        if (low >= high).any():
            return  # beside the sheet
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        shifted = [shape - low / self.height for shape in shapes]
        rows, columns = high - low
        mask = polygons(shifted, rows, columns, self.height)
        under = self.colour[window]
        self.colour[window] = mix(under, ink[window] if ink.ndim == 3 else ink, mask)

    def lines(self, paths: list[np.ndarray], width: float, ink: np.ndarray = INK) -> None:
        """Print lines that swell in the middle and thin out at both ends."""
        self.press([swelling(path, width) for path in paths], ink)

    def outlined(self, shapes: list[np.ndarray], width: float, ink: np.ndarray) -> None:
        """Print shapes as one form: a rim of dark ink, then the colour inside it."""
        self.press([grown(shape, width) for shape in shapes], INK)
        self.press(shapes, ink)


def paint(rng: Random, height: int, width: int) -> np.ndarray:
    """Woodblock print: breakers under a low sun, ink lines around flat graded colour."""
    sheet = Print(height, width)
    r, _ = grid(height, width)
    sheet.colour = ramp(r / 0.64, SKY, [0, 0.16, 0.36, 0.62, 0.88, 1])
    sun = ramp((r - 0.34) / 0.26, rgb("b81f2a", "d8402f", "ee7f48"))
    sheet.outlined([disc((0.475, 0.795), 0.118)], 0.0022, sun)
    _clouds(rng, sheet)
    _birds(rng, sheet)
    _swell(rng, sheet, 0.600, 0.012, 9.0, 0.4, 1)
    _swell(rng, sheet, 0.645, 0.028, 5.2, 1.9, 1)
    _breaker(rng, sheet, (0.715, 1.110), 0.185)
    _swell(rng, sheet, 0.745, 0.042, 4.0, 3.6, 0)
    _breaker(rng, sheet, (0.880, 0.480), 0.690)
    _swell(rng, sheet, 0.900, 0.065, 3.1, 0.3, 1)
    _breaker(rng, sheet, (1.130, 1.130), 0.430)
    _swell(rng, sheet, 1.010, 0.070, 2.6, 4.9, 0)
    return _printed(rng, sheet.colour)


def _claw(root: np.ndarray, angle: float, size: float, bend: float, fat: float) -> np.ndarray:
    """Return one finger of foam: an outline that tapers from its root and hooks over."""
    s = np.linspace(0, 1, 20)
    heading = angle + bend * s**1.5
    step = np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    path = root + np.cumsum(step, axis=0) * size / 19
    side = np.stack([step[:, 1], -step[:, 0]], axis=-1) * (fat * size * (1 - s) ** 0.7)[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def _foam(
    rng: Random, sheet: Print, edge: np.ndarray, size: float, turn: float, bend: float, count: int
) -> None:
    """Print ``count`` hands of foam along ``edge`` (N, 2), each over the one before it.

    A hand leaves the edge at the angle ``turn`` (radians, clockwise) and its fingers
    hook over by ``bend``.  A white cord along the edge then joins the hands.
    """
    for place in np.linspace(0, 0.97, count):
        index = int(place * (len(edge) - 3)) + 1
        angle = np.arctan2(*(edge[index + 1] - edge[index - 1])) + turn
        angle += 0.25 * rng.standard_normal()
        reach = size * rng.uniform(0.65, 1.35)
        root = edge[index]
        hand = [disc(root, 0.30 * reach)]
        for spread in np.linspace(-0.8, 0.8, int(rng.integers(3, 6))):
            heading = angle + spread - 0.35 * bend
            knuckle = root + 0.22 * reach * np.array([np.sin(heading), np.cos(heading)])
            hand.append(_claw(knuckle, heading, reach * rng.uniform(0.5, 1.0), bend, 0.22))
        sheet.outlined(hand, 0.0021, FOAM[0])
        palm = root + 0.25 * reach * np.array([np.sin(angle), np.cos(angle)])
        sheet.press([_claw(palm, angle - 0.35 * bend, 0.5 * reach, bend, 0.20)], FOAM[1])
    sheet.press([swelling(edge, 0.62 * size, 0.5)], FOAM[0])


def _spray(rng: Random, sheet: Print, source: np.ndarray, size: float, count: int) -> None:
    """Print drops thrown forward from the points of ``source`` (N, 2)."""
    start = source[rng.integers(0, len(source), count)]
    throw = np.abs(rng.standard_normal((count, 1))) * size
    way = rng.normal((-0.15, 0.75), (0.65, 0.55), (count, 2))
    radius = 0.0018 + 0.0045 * rng.random(count) ** 3
    drops = [disc(centre, r) for centre, r in zip(start + throw * way, radius, strict=True)]
    sheet.outlined(drops, 0.0011, FOAM[0])


def _breaker(rng: Random, sheet: Print, foot: tuple[float, float], size: float) -> None:
    """Print one wave: bands of blue lofted from its back to its face, then its foam."""
    back, face = spline(BACK) * size + foot, spline(FACE) * size + foot
    share = np.r_[0, np.cumsum(rng.uniform(0.4, 1.6, len(BANDS)))]
    share = (share / share[-1]) ** 0.8
    loft = [back + (face - back) * k for k in share]
    sheet.outlined([np.concatenate([back, face[::-1]])], 0.0060 * size + 0.001, BLUES[1])
    r, _ = grid(sheet.height, sheet.width)
    fade = smoothstep(foot[0] + 0.05 * size, foot[0] - 0.7 * size, r)[..., None]
    for band, blue in enumerate(BANDS):
        tone = BLUES[blue]
        wiped = tone + 0.55 * (BLUES[3] - tone) * (1 - fade) if blue < 3 else tone
        sheet.press([np.concatenate([loft[band], loft[band + 1][::-1]])], wiped)
    sheet.lines([curve[: int(rng.integers(110, 158))] for curve in loft[1:-1]], 0.0075 * size)
    hair = [loft[i] + (loft[i + 1] - loft[i]) * k for i in range(len(BANDS)) for k in (0.3, 0.6)]
    starts = rng.integers(5, 60, len(hair))
    sheet.lines([h[i : i + 75] for h, i in zip(hair, starts, strict=True)], 0.0035 * size)
    _crest(rng, sheet, back, face, size)


def _crest(rng: Random, sheet: Print, back: np.ndarray, face: np.ndarray, size: float) -> None:
    """Print the foam of a breaker: its crest and its fringe, the mantle between, its lip."""
    s = np.linspace(0, 1, 84)
    depth = 0.04 + 0.27 * s**1.2 + 0.05 * np.sin(15 * s) ** 2
    upper, lower = back[76:], back[76:] + (face[76:] - back[76:]) * depth[:, None]
    lip = np.linspace(back[-14], back[-1], 12)
    _foam(rng, sheet, upper, 0.120 * size, -0.55, 1.7, 19)
    _foam(rng, sheet, lower[:80], 0.125 * size, 1.20, 1.2, 17)
    _foam(rng, sheet, lip, 0.150 * size, 0.25, 1.3, 5)
    sheet.press([np.concatenate([upper, lower[::-1]])], FOAM[0])
    for place in rng.uniform(0.05, 0.97, 30):  # hollows in the mantle: pale blue, a line above
        index = int(place * 80)
        root = lower[index] + (upper[index] - lower[index]) * rng.uniform(0.05, 0.95)
        angle = np.arctan2(*(upper[index + 2] - upper[index])) + rng.uniform(0.1, 0.9)
        curl = _claw(root, angle, size * rng.uniform(0.05, 0.10), 1.6, 0.20)
        sheet.press([curl], FOAM[1])
        sheet.lines([curl[:20]], 0.0026)
    _spray(rng, sheet, np.concatenate([upper[30:], lip]), 0.30 * size, int(150 * size))


def _swell(
    rng: Random, sheet: Print, level: float, rise: float, pace: float, phase: float, tone: int
) -> None:
    """Print one row of open sea: peaked crests, a graded body, folds below, caps on top."""
    c = np.linspace(-0.1, sheet.width / sheet.height + 0.1, 420)
    lilt = pace * c + 0.6 * np.sin(2.3 * c + phase) + phase
    wave = 1 - np.abs(np.sin(lilt)) ** 0.75  # rounded troughs, sharp crests
    crest = np.stack([level - rise * wave - 0.25 * rise * np.sin(2.7 * c + 2 * phase), c], axis=-1)
    body = np.concatenate([crest, [[1.3, c[-1]], [1.3, c[0]]]])
    r, _ = grid(sheet.height, sheet.width)
    depth = (r - level + rise) / (3.0 * rise + 0.03)
    sheet.outlined([body], 0.0028, ramp(depth, BLUES[[tone, 2, 3, 4]], [0, 0.35, 0.8, 1]))
    for fold in range(1, 10):
        soft = 1 - np.abs(np.sin(lilt - 0.09 * fold)) ** (0.75 + 0.12 * fold)
        sunk = rise * (wave - soft) + (0.26 * rise + 0.003) * fold
        lower = np.stack([crest[:, 0] + sunk, c], axis=-1)
        for start in rng.integers(0, 330, 9):
            length = int(rng.integers(30, 120))
            ink = BLUES[[0, 0, 4, 1][int(rng.integers(4))]]
            width = (0.0036 + 0.03 * rise) * rng.uniform(0.7, 1.8)
            sheet.press([swelling(lower[start : start + length], width, 0.0)], ink)
    if rise > 0.02:
        for peak in np.flatnonzero((wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:])) + 1:
            reach = int(30 * rng.uniform(0.7, 1.3))
            cap = crest[max(peak - reach, 0) : peak + reach]
            _foam(rng, sheet, cap, 0.50 * rise, -0.5, 1.8, 11)


def _clouds(rng: Random, sheet: Print) -> None:
    """Print drifting bars of mist with round ends, as old prints part their scenes."""
    turn = np.linspace(0, np.pi, 16)
    for row, column, length, count in CLOUDS:
        bars = []
        for bar in range(count):
            start = column + rng.uniform(-0.5, 0.2) * length
            end = start + rng.uniform(0.5, 0.95) * length
            cap = rng.uniform(0.013, 0.019) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
            middle = row + 0.027 * bar
            right, left = np.array([[middle, end], [middle, start]])
            bars.append(np.concatenate([right + cap, left - cap]))
        sheet.outlined(bars, 0.0014, rgb("f3e0bd")[0])


def _birds(rng: Random, sheet: Print) -> None:
    """Print plovers crossing the sky, each in one swelling line."""
    for column in np.linspace(0.97, 1.30, 8):
        row = 0.085 + 0.22 * (column - 1.1) ** 2 + rng.uniform(0, 0.05)
        span, tip = rng.uniform(0.016, 0.027), rng.uniform(-0.5, 0.1)
        wings = [(tip, -1.0), (-0.35, -0.4), (0.0, 0.0), (-0.45, 0.35), (tip, 1.0)]
        sheet.lines([spline(wings, 40) * span + (row, column)], 0.006)


def _printed(rng: Random, colour: np.ndarray) -> np.ndarray:
    """Return the print on its paper: wood grain in the ink, fibres in the sheet."""
    height, width = colour.shape[:2]
    r, _ = grid(height, width)
    rings = 55 * r + 3.0 * noise(rng, height, width, 1.5, 3)
    grain = np.sin(2 * np.pi * rings) * 0.5 + 0.5 * noise(rng, height, width, 60, 2)
    inked = 1 - colour.min(axis=-1)
    fibres = blur(rng.standard_normal((height, width)).astype(np.float32), height / 900)
    fibres /= fibres.std()
    worn = mix(colour, PAPER, np.clip(0.05 + 0.035 * grain, 0, 1) * (0.4 + inked))
    return worn * (1 + 0.018 * fibres + 0.02 * noise(rng, height, width, 5, 4))[..., None]
