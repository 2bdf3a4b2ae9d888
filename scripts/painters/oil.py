"""Oil on canvas: `swirl`, a night of slow whirlpools, in thick strokes along a flow."""

import numpy as np
from PIL import Image

from painters import Random
from painters.flow import along_contours, smear, trace
from painters.paintbox import blur, grid, lit, mix, noise, ramp, rgb, smoothstep, varied
from painters.shapes import spline
from painters.strokes import Brush, Canvas, brush_strokes, seen

NIGHT = rgb("080d2b", "101f5e", "1b3f96", "2a6cb4", "4fa0bf", "a9d3c2", "f3ecc4")
FIRE = rgb("fffbe0", "fde98a", "fbc23a", "f08a24", "c8472c", "5b3577", "1f3f92")
STAR = rgb("fff6cf", "fbe28a", "f2bd4b", "d8e0b0", "7fc0bd", "3f86bd", "1f4fa0")
ACCENTS = rgb("38b3a8", "7d5fc0", "e8a23c", "dfe9d0", "0b1236", "c4573a")
LIGHTS = [  # row, column, radius of the disc and its glow; the moon first
    (0.300, 0.930, 0.155),
    (0.085, 0.655, 0.058),
    (0.105, 0.085, 0.070),
    (0.475, 0.100, 0.052),
    (0.085, 1.190, 0.045),
    (0.415, 0.640, 0.036),
    (0.505, 1.190, 0.036),
]
VORTICES = [  # row, column, radius, strength: its sign is the way it turns
    (0.240, 0.375, 0.125, 1.0),
    (0.435, 0.430, 0.050, -0.8),
    (0.170, 0.775, 0.034, -0.6),
]
RANGE = [(0.56, -0.1), (0.50, 0.15), (0.585, 0.34), (0.545, 0.56), (0.60, 0.8), (0.555, 1.06),
         (0.60, 1.4)]  # fmt: skip
SHORE = [(0.60, -0.1), (0.585, 0.12), (0.66, 0.40), (0.70, 0.62), (0.685, 0.95), (0.66, 1.15),
         (0.63, 1.4)]  # fmt: skip
BANK = [(0.80, -0.1), (0.785, 0.12), (0.85, 0.36), (0.93, 0.62), (0.945, 0.90), (0.88, 1.15),
        (0.86, 1.4)]  # fmt: skip


def paint(rng: Random, height: int, width: int) -> np.ndarray:
    """Oil on canvas: a night of slow whirlpools over an estuary, in thick strokes."""
    motif, flow = _motif(rng, height, width)
    ground = np.broadcast_to(rgb("33285a"), motif.shape).copy()  # a violet ground shows between
    canvas = Canvas(ground, 0.5 * noise(rng, height, width, 90, 2))
    layers = [  # how many strokes, with which brush, how freely coloured
        (1700, Brush(0.140, 0.0400, 14, 2.2), 0.08, 0.020),
        (3600, Brush(0.100, 0.0190, 9, 3.0), 0.12, 0.030),
        (7500, Brush(0.068, 0.0115, 6, 3.6, 0.07), 0.15, 0.035),
        (2600, Brush(0.048, 0.0080, 5, 4.2, 0.08), 0.20, 0.050),
    ]
    for count, brush, value, hue in layers:
        starts = rng.random((count, 2)) * (1.1 * height, 1.1 * width) - 0.05 * height
        paths = trace(flow, starts, brush.length * height)
        colours = varied(rng, seen(motif, paths), value, hue)
        odd = rng.random(count) < 0.05  # now and then a colour from elsewhere
        spice = ACCENTS[rng.integers(0, len(ACCENTS), count)]
        colours = np.where(odd[:, None], 0.6 * colours + 0.4 * spice, colours)
        brush_strokes(rng, canvas, paths, colours, brush)
    _contours(rng, canvas)
    _sparks(rng, canvas)
    _reeds(rng, canvas)
    return lit(canvas.colour, blur(canvas.relief, height / 1216), 0.85, 1.4)


def _motif(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the painter sees, (H, W, 3), and the way the brush goes, (H, W, 2)."""
    r, c = grid(height, width)
    stream = -0.8 * r - 0.05 * np.sin(5 * c) + 0.022 * noise(rng, height, width, 3, 2)
    for row, column, radius, strength in VORTICES:
        stream += 1.5 * radius * strength * np.exp(-(_far(r, c, row, column, radius) ** 2) / 2)
    flow = along_contours(stream)
    arms = np.zeros_like(r)
    for row, column, radius, strength in VORTICES:
        far, way = _far(r, c, row, column, radius), np.sign(strength)
        flow = mix(flow, _around(r, c, row, column, way, 0.30), smoothstep(1.9, 0.9, far))
        spiral = np.arctan2(r - row, c - column) + way * 3.2 * np.log(far + 0.05)
        arms += np.exp(-(far**2) / 2.2) * np.cos(2 * spiral) + 1.3 * np.exp(-((far / 0.3) ** 2))
    for index, (row, column, radius) in enumerate(LIGHTS):  # every light is ringed by strokes
        far = _far(r, c, row, column, radius)
        flow = mix(flow, _around(r, c, row, column, (-1) ** index, 0.0), smoothstep(1.7, 1, far))
    flow /= np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-6

    threads = _threads(rng, flow, height, width)
    sky = ramp(0.35 + 0.32 * (r - 0.3) + 0.145 * threads + 0.20 * arms, NIGHT)
    crumbs = noise(rng, height, width, 24, 2)
    for index, (row, column, radius) in enumerate(LIGHTS):
        far = _far(r, c, row, column, radius) + 0.06 * threads + 0.05 * crumbs
        rings = far + 0.09 * np.sin(11 * far) * (far > 0.35)
        glow = ramp(rings / 1.55, FIRE if index in (0, 3) else STAR)
        sky = mix(sky, glow, smoothstep(1.9, 0.65, far + 0.16 * crumbs * far))
    return _land(rng, r, c, sky, flow)


def _far(r: np.ndarray, c: np.ndarray, row: float, column: float, radius: float) -> np.ndarray:
    """Return every pixel's distance from a centre, in radii."""
    return np.hypot(r - row, c - column) / radius


def _around(
    r: np.ndarray, c: np.ndarray, row: float, column: float, way: float, inward: float
) -> np.ndarray:
    """Return unit vectors (H, W, 2) that circle a centre, spiralling ``inward`` (radians)."""
    angle = np.arctan2(r - row, c - column) + way * (np.pi / 2 + inward)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def _threads(rng: Random, flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return long filaments along the flow, (H, W), of mean 0 and deviation 1."""
    low, narrow = max(8, height // 4), max(8, width // 4)  # filaments have no fine detail
    rows = np.arange(low) * height // low
    columns = np.arange(narrow) * width // narrow
    drawn = smear(noise(rng, low, narrow, 14, 3), flow[rows][:, columns], 0.30 * low)
    drawn = (drawn - drawn.mean()) / drawn.std()
    full = Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(full)


def _land(
    rng: Random, r: np.ndarray, c: np.ndarray, sky: np.ndarray, flow: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return motif and flow with hills, water and a near bank in front of the sky."""
    lumps = noise(rng, r.shape[0], r.shape[1], 7, 3)
    motif, flow = sky.copy(), flow.copy()
    bands = [  # the line above it, its colours from there down, how deep they go, folds
        (RANGE, rgb("7f9fd0", "3d5fae", "2a3a86", "4a3f8c"), 0.12, 0.018),
        (SHORE, rgb("4f9a86", "1f6a6a", "123f55", "0c2440"), 0.10, 0.014),
        (BANK, rgb("c08a2e", "4e5f2c", "1b3a34", "0a1826"), 0.16, 0.020),
    ]
    water = r > 0.715 + 0.012 * np.sin(7 * c)
    for line, colours, depth, folds in bands:
        under = r - _profile(line, c)
        here = under > 0
        motif[here] = ramp(under / depth + 0.22 * lumps, colours)[here]
        flow[here] = along_contours(under + folds * lumps)[here]
        if line is SHORE:
            motif[water] = _water(rng, r, c)[water]
            flow[water] = along_contours(r + 0.003 * lumps)[water]
    return motif, flow.astype(np.float32)


def _profile(line: list[tuple[float, float]], c: np.ndarray) -> np.ndarray:
    """Return the row (1, W) of a skyline at each column of the grid ``c``."""
    curve = spline(line)
    return np.interp(c[:1], curve[:, 1], curve[:, 0])


def _water(rng: Random, r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the water's colour everywhere: night, and the moon's broken road on it."""
    ripple = noise(rng, 6 * r.shape[0], r.shape[1], 26, 2)[::6]  # six times as wide as high
    moon = LIGHTS[0][1]
    road = np.exp(-(((c - moon) / (0.05 + 0.35 * np.clip(r - 0.70, 0, 1))) ** 2))
    night = ramp(0.42 - 1.1 * (r - 0.71) + 0.13 * ripple, NIGHT)
    return mix(night, ramp(0.36 - 0.16 * ripple, FIRE), road * (0.75 + 0.55 * ripple))


def _contours(rng: Random, canvas: Canvas) -> None:
    """Draw the hills' edges with a loaded dark brush, as a painter closes a form."""
    height = canvas.relief.shape[0]
    for line in (RANGE, SHORE, BANK):
        curve = spline(line, 260) * height
        starts = rng.integers(0, 236, 64)
        paths = np.stack([curve[start : start + 16] for start in starts])
        paths += rng.normal(0, 0.0030 * height, (64, 1, 2))
        colours = ramp(rng.random(64), rgb("0a1030", "14235e", "1c3f66", "2d2455"))
        colours = varied(rng, colours, 0.2, 0.03)
        brush_strokes(rng, canvas, paths, colours, Brush(0.09, 0.007, 5, 3.6))


def _sparks(rng: Random, canvas: Canvas) -> None:
    """Set the heart of every light with a few fat dabs, nearly straight from the tube."""
    height = canvas.relief.shape[0]
    for row, column, radius in LIGHTS:
        dab = min(0.36 * radius, 0.032)
        count = int(12 + 1.2 * (radius / dab) ** 2)
        angle = rng.uniform(0, 2 * np.pi, (count, 1))
        s = np.linspace(-0.5, 0.5, 8)
        middle = rng.normal((row, column), 0.11 * radius, (count, 2))[:, None]
        turn = angle + 0.7 * s
        paths = middle + dab * np.stack([s * np.sin(turn), s * np.cos(turn)], axis=-1)
        colours = varied(rng, ramp(rng.uniform(0, 0.16, count), FIRE), 0.03, 0.02)
        brush = Brush(dab, 0.006 + 0.16 * dab, 7, 4.5)
        brush_strokes(rng, canvas, paths * height, colours, brush)


def _reeds(rng: Random, canvas: Canvas) -> None:
    """Plant the near bank: blades from dark to light, and poppies among them."""
    height, width = canvas.relief.shape
    greens = rgb("0c1f2a", "17413a", "3f6b34", "8f9a3a", "d9b445", "f3dc86")
    reds = rgb("a3201f", "e2452b", "f58f3c")
    rounds = [(260, 0.0, 0.4, 0.17), (260, 0.3, 0.75, 0.13), (150, 0.7, 1.0, 0.10)]
    for count, low, high, reach in rounds:  # blades, their part of the greens, their height
        column = rng.random(count) * width / height
        clump = 0.62 + 0.38 * np.sin(3.9 * column + 1.1)
        root = _profile(BANK, column[None])[0] + rng.uniform(0.03, 0.16, count)
        lean = 0.35 * np.sin(4.1 * column) + 0.22 * rng.standard_normal(count)
        s = np.linspace(0, 1, 12)
        tall = rng.uniform(0.5, 1.2, (count, 1)) * reach * clump[:, None]
        rows = root[:, None] - tall * s
        columns = column[:, None] + lean[:, None] * tall * (0.3 * s + s**2)
        paths = np.stack([rows, columns], axis=-1).astype(np.float32) * height
        colours = varied(rng, ramp(rng.uniform(low, high, count), greens), 0.12, 0.03)
        brush_strokes(rng, canvas, paths, colours, Brush(reach, 0.0085, 5, 3.4))
        blooms = paths[rng.random(count) < 0.09][:, -3:]
        colours = varied(rng, ramp(rng.random(len(blooms)), reds), 0.1, 0.02)
        brush_strokes(rng, canvas, blooms, colours, Brush(0.030, 0.016, 6, 5.0))
