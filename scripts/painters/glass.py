"""Stained glass: `glass`, a leaded window with a rose of a sun, lit from behind."""

import numpy as np

from painters import Random
from painters.paintbox import blur, grid, lit, mix, noise, ramp, rgb, smoothstep, varied
from painters.shapes import polygons, skyline, spline, swelling

ROSE = (0.400, 0.396)  # row and column of the sun in the window
RIM = 0.262  # radius of the rose
BORDER, SUN, SKY_GLASS, RIVER, LEAF, STEM, HILL = range(7)  # kinds of pane; hills count on
LABELS = 10_000  # a pane is known by kind * LABELS + label
VINES = [  # where the stems pass, from the sill upwards
    [(1.02, 0.100), (0.86, 0.055), (0.70, 0.105), (0.52, 0.060), (0.33, 0.085), (0.17, 0.065),
     (0.085, 0.17), (0.075, 0.30)],
    [(1.02, 0.680), (0.90, 0.735), (0.76, 0.690), (0.60, 0.735), (0.42, 0.715), (0.25, 0.735),
     (0.12, 0.68), (0.07, 0.56)],
]  # fmt: skip
ROSE_RINGS = [  # from the eye outwards: the colours that take turns around each ring
    rgb("fff4c2"),
    rgb("ffd84a", "ffb52e"),
    rgb("c4182c", "ef6a1f"),
    rgb("2743b4", "5a1f8c"),
    rgb("f7d774", "48b6c8"),
    rgb("c81f30", "f2a52a", "1f3fae"),
    rgb("f7b733", "e2571f"),  # and the eye's own rim
]
DUSK_LIGHT = rgb("ffd062", "f08a4a", "d84f8a", "7f5fd0", "4f86e0", "58b4e4")
DUSK_DARK = rgb("e0502c", "9c2060", "4a2496", "1f34ac", "12308c", "0c1a5c")
HILLS = [
    rgb("e8cf4e", "8fbf47", "4f9a4c", "f0b840"),
    rgb("3f9f58", "1f7a5a", "62b04a", "188070"),
    rgb("15627a", "124a60", "1f9a86", "28408c", "5a3a8c"),
]
WATER = rgb("1748a0", "3f9fd0", "9fe0e4", "1a62b8", "f7e3a0")
LEAVES = rgb("2fa84c", "8fcf45", "1f9470", "d3d84a", "4fbf5a", "f0a030")
JEWELS = rgb("b0142a", "1f3fa8", "b0142a", "eeb02e", "176f4f", "5e2290")


def paint(rng: Random, height: int, width: int) -> np.ndarray:
    """Stained glass: a rose of a sun over hills and a river, in lead of three widths."""
    kind, part, fine = _tracery(rng, height, width)
    hand = 1 + 0.12 * noise(rng, height, width, 12, 2)  # no lead is as wide everywhere
    plant = np.where((kind == LEAF) | (kind == STEM), kind, 0)
    leads = [(plant, 0.0050), (kind, 0.0095), (part, 0.0068), (fine, 0.0042)]
    clear = _distance_to_lead(leads, hand) / height
    panes = kind * LABELS + fine
    glass = _glass(rng, panes, _glass_colours(rng, panes))
    glass *= (0.62 + 0.38 * smoothstep(0, 0.011, clear))[..., None]  # dirt along the lead
    r, c = grid(height, width)
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    glass *= (0.86 + 0.50 * np.exp(-((far / 0.36) ** 2)))[..., None]
    glass = 1.06 * (1 - np.exp(-2.5 * glass**1.5))  # film's shoulder: bright, never burnt out
    came = np.clip(-clear * height, 0, None)  # lead is round: its relief, in pixels
    lead = lit(np.full_like(glass, 0.10), 1.6 * np.sqrt(came), 1.1, 0.5)
    edge = smoothstep(0, 0.0012, clear)
    window = np.clip(mix(lead, glass, edge), 0, 1)
    glow = np.clip(blur(window * edge[..., None], height / 70), 0, 1)
    return 1 - (1 - window) * (1 - 0.22 * glow)


def _tracery(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the window's three partitions, coarse to fine: kind, part, pane; (H, W) labels."""
    r, c = grid(height, width)
    r = r + 0.0025 * noise(rng, height, width, 5, 2)  # no line is ruled
    c = c + 0.0025 * noise(rng, height, width, 5, 2)
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    theta = np.arctan2(r - ROSE[0], c - ROSE[1]) + np.pi
    kind = np.full(r.shape, SKY_GLASS)
    fine = _rays(rng, far, theta)
    for band, level in enumerate((0.675, 0.745, 0.835)):
        under = r - skyline(rng, c, level, 0.026)
        kind[under > 0] = HILL + band
        fine[under > 0] = _furrows(rng, under, c, 0.026 + 0.006 * band)[under > 0]
    bank = 0.40 + 0.85 * (r - 0.60) * np.sin(10.5 * (r - 0.62))
    river = (kind >= HILL) & (np.abs(c - bank) < 0.055 + 0.42 * (r - 0.66))
    kind[river] = RIVER
    fine[river] = _furrows(rng, r - 0.60 + 0.010 * np.sin(24 * c + 9 * r), c, 0.021)[river]
    rose = far < RIM
    kind[rose], fine[rose] = SUN, _rose(far, theta)[rose]
    _vines(rng, kind, fine)
    frame = np.minimum(np.minimum(r, 1 - r), np.minimum(c, width / height - c))
    kind[frame < 0.034] = BORDER
    fine[frame < 0.034] = _border(r, c, width / height)[frame < 0.034]
    part = np.where(kind == SUN, fine // 100 % 6, 0)  # the eye and its rim are one
    return kind, part, fine


def _sectors(theta: np.ndarray, count: int, phase: float = 0.0) -> np.ndarray:
    """Return which of ``count`` equal slices of the circle each angle is in."""
    return np.floor((theta / (2 * np.pi) + phase / count) * count).astype(np.int64) % count


def _rose(far: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return labels of the rose, 100 * ring + place: eye, petals twice, roundels, rim."""
    x = far / RIM
    label = np.where(x < 0.055, 0, 600 + _sectors(theta, 8))
    label = np.where(x > 0.125, 100 + _sectors(theta, 8, 0.5), label)
    outside = x > 0.30 + 0.13 * np.abs(np.cos(4 * theta)) ** 0.6
    label = np.where(outside, 200 + _sectors(theta, 16), label)
    outside = x > 0.54 + 0.15 * np.abs(np.sin(8 * theta)) ** 0.6
    label = np.where(outside, 300 + _sectors(theta, 16, 0.5), label)
    step = 2 * np.pi / 16
    slant = (theta + step / 2) % step - step / 2
    roundel = np.hypot(x * np.cos(slant) - 0.765, x * np.sin(slant)) < 0.075
    label = np.where(roundel, 400 + _sectors(theta, 16, 0.5), label)
    return np.where(x > 0.89, 500 + _sectors(theta, 48), label)


def _rays(rng: Random, far: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return labels of the sky: rays of the sun, each broken at its own distances."""
    ray = _sectors(theta + 0.22 * np.sin(7 * far), 32)
    shift = rng.uniform(0, 0.6, 32)[ray]  # under 1, lest slivers of glass touch the rim
    ring = np.floor((far - RIM) / (0.045 + 0.07 * far) + shift).astype(np.int64)
    return 1000 + ray * 32 + np.clip(ring, 0, 31)


def _furrows(rng: Random, under: np.ndarray, c: np.ndarray, deep: float) -> np.ndarray:
    """Return labels of strips that follow a skyline, each cut at its own columns."""
    strip = np.clip(np.floor(under / deep), 0, 39).astype(np.int64)
    shift, pace = rng.uniform(0, 1, 40)[strip], rng.uniform(3.5, 8, 40)[strip]
    slant = 1.8 * (under - deep * strip) * (1 - 2 * (strip % 2))
    cut = np.floor((c + slant) * pace + shift).astype(np.int64)
    return 5000 + strip * 64 + cut


def _vines(rng: Random, kind: np.ndarray, fine: np.ndarray) -> None:
    """Draw two vines up the sides of the window, stems first, then leaves with a midrib."""
    label = 8000
    for vine in VINES:
        path = spline(vine, 300)
        _stamp(kind, fine, swelling(path, 0.020, 0.5), STEM, 8000)
        for leaf, index in enumerate(np.linspace(22, 297, 22).astype(int)):
            ahead = np.arctan2(*(path[index] - path[index - 3]))
            angle = ahead + (-1) ** leaf * rng.uniform(0.55, 0.95)
            size = rng.uniform(0.062, 0.092)
            for half in (0, 1):
                label += 1
                _stamp(kind, fine, _half_leaf(path[index], angle, size, half), LEAF, label)


def _half_leaf(root: np.ndarray, angle: float, size: float, half: int) -> np.ndarray:
    """Return one side of a pointed leaf, as a polygon from its root to its tip and back."""
    s = np.linspace(0, 1, 20)
    rib = 0.10 * np.sin(np.pi * s)
    edge = rib + (1 - 2 * half) * 0.30 * np.sin(np.pi * s**0.8) * (1 - 0.3 * s)
    along, across = np.r_[s, s[::-1]], np.r_[rib, edge[::-1]]
    heading = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    return root + size * np.stack([along, across], axis=-1) @ heading


def _stamp(kind: np.ndarray, fine: np.ndarray, shape: np.ndarray, what: int, label: int) -> None:
    """Lay one piece of glass, a polygon, over the panes already there."""
    height, width = kind.shape
    inside = polygons([shape], height, width) > 0.5
    kind[inside], fine[inside] = what, label


def _border(r: np.ndarray, c: np.ndarray, aspect: float) -> np.ndarray:
    """Return labels of the frame's jewels: long and short by turns."""
    upright = np.minimum(c, aspect - c) < np.minimum(r, 1 - r)
    place = np.where(upright, r, c) / 0.075
    turn = 2 * np.floor(place).astype(np.int64) + (place % 1 > 0.68)
    return 9000 + turn + 200 * upright


def _distance_to_lead(partitions: list[tuple[np.ndarray, float]], hand: np.ndarray) -> np.ndarray:
    """Return the distance in pixels to the edge of the nearest lead, negative inside it.

    Jump flooding: every pixel asks neighbours ever closer for the best line they know.
    """
    height, width = hand.shape
    half = np.zeros((height, width), np.float32)  # half the lead's width, on its line
    for labels, thick in reversed(partitions):
        line = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
        line[0], line[:, 0] = True, True
        half[line] = (thick * height / 2 * hand)[line]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    best = np.where(half > 0, -half, np.float32(1e6))
    seed = np.stack([rows, columns, half], axis=-1)
    seed[half == 0] = -1e6
    for jump in (32, 16, 8, 4, 2, 1, 1):
        for down in (-jump, 0, jump):
            for right in (-jump, 0, jump):
                offer = np.roll(seed, (down, right), (0, 1))
                distance = np.hypot(rows - offer[..., 0], columns - offer[..., 1]) - offer[..., 2]
                closer = distance < best
                best[closer], seed[closer] = distance[closer], offer[closer]
    return best


def _glass_colours(rng: Random, panes: np.ndarray) -> np.ndarray:
    """Return a colour (N, 3) for each pane, from its kind, its label and its place.

    N counts every label there could be, so that a pane draws the same luck at any size.
    """
    count = (HILL + len(HILLS)) * LABELS
    kind, label = np.divmod(np.arange(count), LABELS)
    area = np.bincount(panes.ravel(), minlength=count) + 1e-9
    r, c = (np.bincount(panes.ravel(), x.ravel(), count) / area for x in grid(*panes.shape))
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    pick, wander = rng.random(count), 0.07 * rng.standard_normal(count)
    colours = JEWELS[label % len(JEWELS)]
    for ring, palette in enumerate(ROSE_RINGS):
        here = (kind == SUN) & (label // 100 == ring)
        colours[here] = palette[(label % 100)[here] % len(palette)]
    t = (far - RIM) / 0.24 + wander
    light = ((label - 1000) // 32 % 2 == 0)[:, None]
    sky = np.where(light, ramp(t, DUSK_LIGHT), ramp(t, DUSK_DARK))
    colours = np.where((kind == SKY_GLASS)[:, None], sky, colours)
    for what, palette in [(RIVER, WATER), (LEAF, LEAVES), *enumerate(HILLS, HILL)]:
        colours = np.where((kind == what)[:, None], ramp(pick, palette), colours)
    colours[kind == STEM] = rgb("4a1f3c")
    return varied(rng, colours, 0.09, 0.02)


def _glass(rng: Random, panes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return hand-made glass (H, W, 3): two colours streaked in every pane, and bubbles."""
    height, width = panes.shape
    count = len(colours)
    r, c = grid(height, width)
    cloud = noise(rng, height, width, 7, 4)
    streaks = []
    for angle in (0.3, 1.0, 1.9, 2.7):
        along = r * np.sin(angle) + c * np.cos(angle)
        across = r * np.cos(angle) - c * np.sin(angle) + 0.022 * cloud
        broad = np.sin(95 * across + 2 * np.sin(9 * along))
        streaks.append((broad + np.sin(233 * across + 5 * along)) / 2)
    streak = np.choose(rng.integers(0, 4, count)[panes], streaks)
    other = np.where(rng.random((count, 1)) < 0.5, 0.6 * colours, 0.78 * colours + 0.2)
    second = varied(rng, other, 0.10, 0.11)
    amount = rng.uniform(0.35, 0.95, count)[panes]
    glass = mix(colours[panes], second[panes], amount * (0.5 + 0.5 * streak))
    light = 1 + 0.09 * cloud + rng.uniform(0.03, 0.12, count)[panes] * streak
    hammered = noise(rng, height, width, 70, 2)
    return lit(np.clip(glass * light[..., None], 0, 1), hammered, 0.28, 0.8)
