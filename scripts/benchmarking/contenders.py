"""Who takes part, by name: "nst", and PyTorch's variants where PyTorch is installed."""

from importlib.util import find_spec

from benchmarking.work import Work

OURS = {"cpu": ("nst",), "cuda": ("nst", "nst tf32")}
CPU_VARIANTS = ("eager", "channels_last", "compile", "compile channels_last")
CUDA_VARIANTS = tuple(f"{variant}{tf32}" for variant in CPU_VARIANTS for tf32 in ("", " tf32"))


def has_pytorch() -> bool:
    """Tell whether PyTorch can be compared with."""
    return find_spec("torch") is not None


def names(device: str, wanted: list[str] | None = None) -> list[str]:
    """Return those who take part on ``device``: ours first, then PyTorch's ``wanted`` variants."""
    variants = wanted or list(CUDA_VARIANTS if device == "cuda" else CPU_VARIANTS)
    return [*OURS[device], *(variants if has_pytorch() else [])]


def is_ours(name: str) -> bool:
    """Tell whether a contender is nst, and not PyTorch."""
    return name.split()[0] == "nst"


def make(name: str, work: Work, device: str):
    """Return the contender called ``name``, set up for ``work``."""
    if is_ours(name):
        from benchmarking.ours import Ours

        return Ours(work, device, tf32="tf32" in name)
    from benchmarking.pytorch import PyTorch

    return PyTorch(work, name, device)
