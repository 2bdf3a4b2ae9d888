"""Who takes part, by name: "nst", and PyTorch's variants where PyTorch is installed."""

from importlib.util import find_spec

from benchmarking.work import Work

CPU_VARIANTS = ("eager", "channels_last", "compile", "compile channels_last")
CUDA_VARIANTS = tuple(f"{variant}{tf32}" for variant in CPU_VARIANTS for tf32 in ("", " tf32"))


def has_pytorch() -> bool:
    """Tell whether PyTorch can be compared with."""
    return find_spec("torch") is not None


def names(device: str, wanted: list[str] | None = None) -> list[str]:
    """Return those who take part on ``device``: ours first, then PyTorch's ``wanted`` variants."""
    variants = wanted or list(CUDA_VARIANTS if device == "cuda" else CPU_VARIANTS)
    return ["nst", *(variants if has_pytorch() else [])]


def make(name: str, work: Work, device: str):
    """Return the contender called ``name``, set up for ``work``."""
    if name == "nst":
        from benchmarking.ours import Ours

        return Ours(work, device)
    from benchmarking.pytorch import PyTorch

    return PyTorch(work, name, device)
