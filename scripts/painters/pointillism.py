"""Pointillism: `garden`, an orchard path at noon, in small touches of pure colour."""

import numpy as np

from painters import Random
from painters.flow import along_contours, trace
from painters.paintbox import blur, grid, lit, mix, noise, ramp, rgb, smoothstep, varied
from painters.shapes import skyline
from painters.strokes import Brush, Canvas, brush_strokes, seen

AIR = rgb("8fc4d8", "b9dbd6", "f3e7b8", "fbd79a", "f4b08a")
LEAFAGE = rgb("3a4a90", "1f6a8c", "1f8f6c", "4f9f48", "a3c447", "ecd95c", "fdf0a8")
LAWN = rgb("ecd27a", "b9c75c", "84b352", "4f9a58", "3f8a78")
SHADE = rgb("3a3f94", "2f6a86", "4f5fae")
BLOSSOM = rgb("d8284a", "f06a8a", "f7a6b4", "f4612f", "ffd23f", "8a4fc0", "fff3e0")
STROLLER = (0.560, 0.545, 0.150)  # row and column of the neck, height
GROVE = [  # row, column and size of a crown, column of its trunk, and how far away it is
    (0.355, 0.120, 0.090, 0.125, 0.75),
    (0.350, 0.300, 0.070, 0.300, 0.80),
    (0.345, 0.560, 0.060, 0.560, 0.85),
    (0.290, 0.780, 0.130, 0.770, 0.45),
    (0.175, 0.050, 0.270, 0.105, 0.00),
    (0.120, 0.900, 0.230, 0.850, 0.10),
]


def paint(rng: Random, height: int, width: int) -> np.ndarray:
    """Pointillism: an orchard path at noon, in dots that mix in the eye."""
    motif, flow = _motif(rng, height, width)
    ground = np.broadcast_to(rgb("efe0c0"), motif.shape).copy()  # primed canvas
    canvas = Canvas(ground, 0.3 * noise(rng, height, width, 90, 2))
    layers = [  # how many dots, with which brush, how freely coloured
        (5200, Brush(0.036, 0.0220, 9, 1.2), 0.08),
        (12000, Brush(0.0165, 0.0115, 5, 2.2, 0.04), 0.10),
        (24000, Brush(0.0095, 0.0075, 4, 2.6, 0.03), 0.13),
    ]
    for count, brush, value in layers:
        starts = rng.random((count, 2)) * (1.04 * height, 1.04 * width) - 0.02 * height
        paths = trace(flow, starts, brush.length * height, 6)
        colours = varied(rng, _divided(rng, seen(motif, paths)), value, 0.03)
        brush_strokes(rng, canvas, paths, colours, brush)
    return lit(canvas.colour, blur(canvas.relief, height / 1000), 0.36, 0.5)


def _divided(rng: Random, colours: np.ndarray) -> np.ndarray:
    """Return colours (N, 3) split as Seurat did: purer, some sunlight, some complement.

    Around the grey of its own lightness a colour is stretched; a few dots are then
    drawn towards orange (direct light), blue (reflected sky) or the opposite hue.
    """
    grey = colours.mean(axis=1, keepdims=True)
    pure = grey + 1.22 * (colours - grey)
    opposite = 2 * grey - colours
    kind = rng.random((len(colours), 1))
    sun, sky = rgb("ffab4a"), rgb("4a6fd8")
    dots = np.where(kind < 0.12, 0.55 * pure + 0.45 * sun * (0.4 + 0.8 * grey), pure)
    dots = np.where(kind > 0.86, 0.55 * pure + 0.45 * sky * (0.5 + 0.8 * grey), dots)
    dots = np.where((kind > 0.80) & (kind < 0.86), 0.45 * pure + 0.55 * opposite, dots)
    return np.clip(dots, 0, 1)


def _motif(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the painter sees, (H, W, 3), and the way the dots lie, (H, W, 2)."""
    r, c = grid(height, width)
    lumps, leaves = noise(rng, height, width, 6, 3), noise(rng, height, width, 22, 3)
    motif = ramp(r / 0.42 + 0.05 * lumps, AIR)
    hills = [(0.375, 0.018, rgb("c3b0d8", "8f9fd0")), (0.410, 0.010, rgb("8fc09a", "5f97a8"))]
    for level, rise, colours in hills:
        under = r - skyline(rng, c, level, rise)
        motif = mix(motif, ramp(under / 0.07 + 0.2 * lumps, colours), under > 0)
    lawn = r > 0.432 + 0.004 * lumps
    depth = np.clip((r - 0.432) / 0.568, 0, 1)
    motif[lawn] = ramp(0.8 * depth + 0.13 * lumps + 0.10 * leaves, LAWN)[lawn]
    path = 0.455 + 0.30 * depth**0.7 * np.sin(3.6 * depth + 0.2) * (1.1 - depth)
    aside = np.abs(c - path) / (0.008 + 0.165 * depth)
    sand = ramp(0.5 + 0.25 * leaves, rgb("e8a58f", "f7d3a4", "fdf0cf"))
    motif = mix(motif, sand, lawn * smoothstep(1.1, 0.95, aside))
    _shadows(motif, r, c, lumps + 0.8 * leaves, lawn)
    for crown in GROVE:
        _tree(rng, motif, r, c, leaves, crown)
    apart = np.hypot(r - STROLLER[0], c - STROLLER[1]) > 0.13
    bed = smoothstep(0.35, 0.6, lumps * 0.35 + leaves * 0.35 + 0.9 * depth - 0.25 * (aside < 1.4))
    flowers = BLOSSOM[np.clip((3.5 + 2.2 * noise(rng, height, width, 30, 2)).astype(int), 0, 6)]
    bed *= lawn * apart * (aside > 1.12) * (leaves > -0.2)
    motif = mix(motif, flowers * (0.75 + 0.35 * smoothstep(-1, 1, lumps))[..., None], bed)
    _stroller(motif, r, c)
    return motif, along_contours(blur(leaves, height / 200) + 6 * depth)


def _shadows(
    motif: np.ndarray, r: np.ndarray, c: np.ndarray, lumps: np.ndarray, lawn: np.ndarray
) -> None:
    """Lay the trees' violet shade across the lawn, away from a sun on the left."""
    for _, _, size, trunk, far in GROVE:
        foot = 0.455 + 0.36 * (1 - far) ** 1.6
        low, wide = (r - foot - 0.01) / (0.28 * size), (c - trunk - 0.9 * size) / (1.5 * size)
        spread = np.hypot(low, wide)
        cover = smoothstep(1.25, 0.75, spread + 0.22 * lumps) * lawn
        motif[:] = mix(motif, ramp(0.5 + 0.3 * lumps, SHADE), 0.72 * cover)


def _tree(
    rng: Random,
    motif: np.ndarray,
    r: np.ndarray,
    c: np.ndarray,
    leaves: np.ndarray,
    crown: tuple[float, float, float, float, float],
) -> None:
    """Plant one tree: a trunk lit from the left, and clumps of leaves from back to front."""
    row, column, size, trunk, far = crown
    foot = 0.455 + 0.36 * (1 - far) ** 1.6
    thick = 0.085 * size * (1 + 0.8 * smoothstep(foot - 0.05, foot, r)) + 0.002
    bark = np.abs(c - trunk - 0.12 * size * np.sin(9 * (r - row))) / thick
    wood = ramp(0.5 + 0.5 * (trunk - c) / thick, rgb("2b2358", "6a4a86", "b5795e", "dba878"))
    motif[:] = mix(motif, wood, (bark < 1) & (r > row) & (r < foot))
    ragged = 0.20 * np.clip(leaves, -1.3, 1.3)  # not so ragged that leaves float in the air
    for _ in range(15):
        angle, out = rng.uniform(0, 2 * np.pi), 0.72 * np.sqrt(rng.random())
        middle = (row + 0.75 * size * out * np.sin(angle), column + size * out * np.cos(angle))
        radius = size * rng.uniform(0.30, 0.58)
        spread = np.hypot(r - middle[0], (c - middle[1]) / 1.15) / radius
        light = 0.50 - 0.19 * ((c - middle[1]) + 1.2 * (r - middle[0])) / radius + 0.16 * leaves
        tone = ramp(light - 0.10 * (r - row + c - column) / size, LEAFAGE)
        tone = mix(tone, rgb("b9cfc8"), 0.45 * far)  # air between
        motif[:] = mix(motif, tone, smoothstep(1.0, 0.85, spread + ragged))


def _stroller(motif: np.ndarray, r: np.ndarray, c: np.ndarray) -> None:
    """Put a walker with a red parasol on the path, for the eye to rest on."""
    row, column, tall = STROLLER
    down, right = (r - row) / tall, (c - column) / tall
    cast = np.hypot((down - 1.0) / 0.09, (right - 0.55) / 0.6) < 1
    motif[cast] = rgb("6a62a8")
    dress = (np.abs(right) < 0.07 + 0.16 * np.clip(down, 0, 1) ** 1.3) & (down > 0) & (down < 1)
    motif[dress] = ramp(0.5 - 2.2 * right, rgb("2f3a9a", "8f8ad0", "fff4e0"))[dress]
    shade = (np.hypot(down + 0.02, right / 1.2) < 0.36) & (down < -0.06 - 0.3 * right**2)
    head = np.hypot(down + 0.04, right) < 0.075
    motif[head] = rgb("7a3f3a")
    motif[shade] = ramp(0.55 - 1.3 * right, rgb("8c1038", "e0352f", "ffb45a"))[shade]
