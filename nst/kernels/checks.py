"""Argument checks shared by both twins, so both fail with the same words."""

from typing import Any


def same_shape(**arrays: Any) -> None:
    """Raise unless all the named arrays have one shape and one float dtype, and a value."""
    _one_float_dtype(arrays)
    shapes = {name: a.shape for name, a in arrays.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes must be equal, got {listed}; resize or crop one of them")


def has_rank(rank: int, **arrays: Any) -> None:
    """Raise unless each named array has ``rank`` axes, one float dtype, and a value."""
    _one_float_dtype(arrays)
    for name, a in arrays.items():
        if a.ndim != rank:
            raise ValueError(f"{name} must have {rank} axes, got shape {a.shape}")


def is_gram_of(features: Any, d_gram: Any) -> None:
    """Raise unless ``features`` is (C, H, W) and ``d_gram`` is (C, C), in one float dtype."""
    _belongs_to(features, "d_gram", d_gram, 0)


def is_moments_of(features: Any, d_moments: Any) -> None:
    """Raise unless ``features`` is (C, H, W) and ``d_moments`` (C, C + 1), in one float dtype."""
    _belongs_to(features, "d_moments", d_moments, 1)


def is_map_of(features: Any, mask: Any) -> None:
    """Raise unless ``mask`` is None, or (H, W) for ``features`` (C, H, W), in its dtype."""
    if mask is None:
        return
    _one_float_dtype({"mask": mask, "features": features})
    if mask.shape != features.shape[1:]:
        raise ValueError(
            f"mask must be {features.shape[1:]} for features {features.shape}, "
            f"got {mask.shape}; resize it to the layer"
        )


def is_laplacian_of(image: Any, d_laplacian: Any) -> None:
    """Raise unless ``image`` is (C, H, W) and ``d_laplacian`` (H, W), in one float dtype."""
    _one_float_dtype({"d_laplacian": d_laplacian, "image": image})
    has_rank(3, image=image)
    if d_laplacian.shape != image.shape[1:]:
        raise ValueError(
            f"d_laplacian must be {image.shape[1:]} for an image {image.shape}, "
            f"got {d_laplacian.shape}"
        )


def is_square(matrix: Any) -> None:
    """Raise unless ``matrix`` is (N, N)."""
    has_rank(2, matrix=matrix)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}")


def is_output(out: Any, like: Any, add: bool = False) -> None:
    """Raise unless ``out`` can take a result like ``like``, or is None with nothing to ``add``."""
    if out is None:
        if add:
            raise ValueError("add needs an array to add to, got out=None; give one, or no add")
        return
    same_shape(out=out, like=like)
    if not out.flags.c_contiguous:
        raise ValueError(f"out of shape {out.shape} is not C-contiguous; give a whole array")


def is_apart(out: Any, image: Any) -> None:
    """Raise if ``out`` is ``image``: what reads a pixel's neighbours cannot write over them."""
    if out is image:
        raise ValueError("out is the image that is read; give another array, or none")


def is_new_output(out: Any, like: Any, shape: tuple[int, ...]) -> None:
    """Raise unless ``out`` is None, or can take a result of ``shape`` in the dtype of ``like``."""
    if out is None:
        return
    _one_float_dtype({"out": out, "like": like})
    if out.shape != shape or not out.flags.c_contiguous:
        raise ValueError(f"out must be {shape} and C-contiguous, got shape {out.shape}")


def blocks_of(features: Any, side: int) -> tuple[int, int, int]:
    """Return the shape of what has a value for each block of ``side`` x ``side`` pixels."""
    has_rank(3, features=features)
    channels, height, width = features.shape
    most = min(height, width)
    if not 1 <= side <= most:
        raise ValueError(f"side must be 1 to {most} for {features.shape}, got {side}")
    return channels, height // side, width // side


def is_reduced(d_result: Any, features: Any, shape: tuple[int, ...]) -> None:
    """Raise unless ``d_result`` has the ``shape`` of what was made of ``features``."""
    _one_float_dtype({"d_result": d_result, "features": features})
    if d_result.shape != shape:
        raise ValueError(f"the gradient must be {shape}, the result's shape, got {d_result.shape}")


def points_of(grid: str, length: int, count: int) -> tuple[float, float]:
    """Return how far apart the points of a ``grid`` are, and where the first one is, in pixels.

    They are ``count`` on a line of ``length`` pixels.
    """
    if grid == "corners":
        return (length - 1) / max(1, count - 1), 0.0
    if grid == "centres":
        return length / count, length / count / 2 - 0.5
    if grid == "doubled":
        if count // 2 != length:
            raise ValueError(f"a doubled grid of {length} has {2 * length} points, got {count}")
        return 0.5, -0.25
    raise ValueError(f"grid must be 'corners', 'centres' or 'doubled', got {grid!r}")


def are_vectors_of_one_space(queries: Any, vectors: Any) -> None:
    """Raise unless ``queries`` is (C, N) and ``vectors`` (C, M), of one dtype."""
    has_rank(2, queries=queries, vectors=vectors)
    if len(queries) != len(vectors):
        raise ValueError(
            f"queries of {len(queries)} channels cannot be near vectors of {len(vectors)}"
        )


def is_map_of_channels(features: Any, matrix: Any, before: Any, after: Any) -> None:
    """Raise unless the matrix (O, C) and vectors (C,) and (O,) fit ``features`` (C, H, W)."""
    has_rank(3, features=features)
    _one_float_dtype({"features": features})
    found, channels = matrix.shape, len(features)
    if (
        len(found) != 2
        or found[1] != channels
        or (before.shape, after.shape)
        != (
            (channels,),
            found[:1],
        )
    ):
        raise ValueError(
            f"a map of {channels} channels needs a matrix (O, {channels}), and what is taken away "
            f"({channels},) and added (O,), got {found}, {before.shape} and {after.shape}"
        )


def is_rgb(image: Any) -> None:
    """Raise unless ``image`` is (3, H, W)."""
    has_rank(3, image=image)
    if image.shape[0] != 3:
        raise ValueError(f"image must be RGB of shape (3, H, W), got {image.shape}")


def is_margin_of(height: int, width: int, margin: int) -> None:
    """Raise unless ``margin`` is 0 or more, and an image of this size can be mirrored into it."""
    if not 0 <= margin <= min(height, width):
        raise ValueError(
            f"margin must be from 0 to the shorter side, got {margin} around {height} x {width}"
        )


def are_alike(vectors: Any, x: Any) -> None:
    """Raise unless ``vectors`` are (N, ...), each of the shape of ``x`` and of its dtype."""
    _one_float_dtype({"vectors": vectors, "x": x})
    if vectors.shape[1:] != x.shape:
        raise ValueError(f"vectors must be (N, {x.shape}), got {vectors.shape}")


def are_coefficients_of(coefficients: Any, vectors: Any) -> None:
    """Raise unless there is one number for each of the ``vectors``."""
    if coefficients.shape != (len(vectors),):
        raise ValueError(
            f"{len(vectors)} vectors need coefficients ({len(vectors)},), got {coefficients.shape}"
        )


def is_side_of(matrix: Any, known: Any) -> None:
    """Raise unless ``known`` (N,) can be what a square ``matrix`` (N, N) maps something to."""
    if known.shape != matrix.shape[:1]:
        raise ValueError(f"a matrix {matrix.shape} needs {matrix.shape[:1]}, got {known.shape}")


def is_scalar(**values: Any) -> None:
    """Raise ValueError unless each named value is a number or a 0-d array."""
    for name, value in values.items():
        shape = getattr(value, "shape", ())
        if shape != ():
            raise ValueError(f"{name} must be a number or a 0-d array, got shape {shape}")


def is_range(low: float, high: float) -> None:
    """Raise ValueError unless ``low <= high``."""
    if not low <= high:
        raise ValueError(f"low must not exceed high, got low={low} and high={high}")


def is_step(step: int) -> None:
    """Raise ValueError unless ``step`` counts from 1: Adam divides by ``1 - beta ** step``."""
    if step < 1:
        raise ValueError(f"step counts from 1, got {step}")


def divisor_or_pixels(divisor: float | None, features: Any) -> float:
    """Return what a sum over the pixels is divided by: ``divisor``, or H*W for None."""
    if divisor is None:
        return float(features.shape[1] * features.shape[2])
    if not divisor > 0:
        raise ValueError(f"divisor must be positive or None for H*W, got {divisor}")
    return float(divisor)


def step_divisors(reduction: str, image: Any) -> tuple[int, int]:
    """Return what the sums of the steps to the right and below are divided by.

    1 for 'sum', C*H*W for 'mean', and for 'means' the number of steps in that direction.
    """
    channels, height, width = image.shape
    if reduction == "sum":
        return 1, 1
    if reduction == "mean":
        return image.size, image.size
    if reduction == "means":  # a single row or column has no steps, and their sum is 0
        return channels * height * max(1, width - 1), channels * max(1, height - 1) * width
    raise ValueError(f"reduction must be 'sum', 'mean' or 'means', got {reduction!r}")


def is_mean(reduction: str) -> None:
    """Raise ValueError unless ``reduction`` is 'mean', the only one that a formula has."""
    if reduction != "mean":
        raise ValueError(f"reduction must be 'mean' here, got {reduction!r}")


def _belongs_to(features: Any, name: str, statistic: Any, further: int) -> None:
    """Raise unless ``statistic`` is (C, C + further) for ``features`` (C, H, W)."""
    has_rank(3, features=features)
    _one_float_dtype({name: statistic, "features": features})
    channels = features.shape[0]
    if statistic.shape != (channels, channels + further):
        raise ValueError(
            f"{name} must be {(channels, channels + further)} for features {features.shape}, "
            f"got {statistic.shape}; was it made from another layer?"
        )


def _one_float_dtype(arrays: dict[str, Any]) -> None:
    """Integers would wrap around in a difference, and two dtypes hide a conversion."""
    for name, a in arrays.items():
        if a.dtype not in ("float32", "float64"):
            raise TypeError(
                f"{name} must be float32 or float64, got {a.dtype}; convert it with astype()"
            )
        if a.size == 0:
            raise ValueError(f"{name} must not be empty, got shape {a.shape}")
    if len({a.dtype for a in arrays.values()}) > 1:
        listed = ", ".join(f"{name} {a.dtype}" for name, a in arrays.items())
        raise TypeError(f"dtypes must be equal, got {listed}; convert one with astype()")
