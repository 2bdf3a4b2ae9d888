"""What runs of one batch have in common: networks that are open, and sums of paintings."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nst.devices import Device
from nst.objective.recipe import Recipe
from nst.objective.styles.sums import Mask
from nst.settings import Settings
from nst.vgg import Vgg, weights
from nst.vgg.weights import Network

MOST_SUMS = 64  # of a painting at one size, some megabytes each


class Shared:
    """What was opened and measured, for the runs that are given it.

    The same picture, seen by the same network in the same tiles, has the same sums: a run paints
    with it, bit for bit, what it would paint without.  Whoever makes it knows how long it lives.
    ``model`` is the file that holds the network, where it is not what the settings call it.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._model = model
        self._networks: dict[Any, Network] = {}
        self._opened: dict[Any, Vgg] = {}
        self._sums: dict[Any, dict[str, Any]] = {}  # the last kept is last

    def network(self, settings: Settings, recipe: Recipe) -> Network:
        """Return the network that the settings name, as the ``recipe`` wants it."""
        key = settings.model, recipe.input_gain, recipe.pool_rounding
        if key not in self._networks:
            network = weights.load(self._model or settings.model).brightened(recipe.input_gain)
            self._networks[key] = network.rounded(recipe.pool_rounding)
        return self._networks[key]

    def vgg(self, settings: Settings, recipe: Recipe, device: Device) -> Vgg:
        """Return that network, opened on the ``device`` for the taps of the ``recipe``."""
        network, how = self.network(settings, recipe), (settings.conv, settings.precision)
        key = id(network), recipe.taps, recipe.pooling, device.name, *how
        if key not in self._opened:
            self._opened[key] = Vgg(network, recipe.taps, recipe.pooling, device, *how)
        return self._opened[key]

    def sums_of(self, key: Any) -> dict[str, Any] | None:
        """Return what was kept under ``key``: see `keep`; or None."""
        return self._sums.get(key)

    def keep(self, key: Any, sums: dict[str, Any]) -> None:
        """Keep the ``sums`` of a painting at one size, by tap; the oldest go."""
        while len(self._sums) >= MOST_SUMS:
            del self._sums[next(iter(self._sums))]
        self._sums[key] = sums

    def release(self) -> None:
        """Give back the memory that the networks took for the last picture."""
        for vgg in self._opened.values():
            vgg.release()


def content_of(picture: np.ndarray, masks: Mapping[str, Mask | None]) -> str:
    """Return a digest of a ``picture`` (3, H, W) and of where each tap looks at it."""
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(picture.tobytes())
    for tap, mask in masks.items():
        digest.update(f"{tap}:{mask is not None}".encode())
        if mask is not None:
            digest.update(mask.host.tobytes())
    return digest.hexdigest()
