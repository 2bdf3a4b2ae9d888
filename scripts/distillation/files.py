"""What comes of a training: a checkpoint to go on from, and the finished weights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nst.vgg import weights
from nst.vgg.export import export_network

SUFFIXES = (".npz", ".onnx")  # of finished weights


def save_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a student's folded weights: bare arrays (.npz), or the model that ships (.onnx)."""
    if path.suffix == ".onnx":
        export_network(weights.from_arrays(arrays, "average", name=weights.EMBEDDED), path)
    else:
        np.savez(path, **arrays)


def checkpoint_of(output: Path) -> Path:
    return output.with_suffix(".checkpoint")


def load_checkpoint(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SystemExit(f"distill: no checkpoint {path}; train first, without --resume.")
    return torch.load(path, weights_only=True, map_location="cpu")


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; a killed run leaves the old one or the new one, never half of one."""
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    os.replace(part, path)
