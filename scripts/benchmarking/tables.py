"""What a person sees: plain tables of Markdown."""

from collections.abc import Iterable, Mapping

from benchmarking.contenders import is_ours
from benchmarking.timing import PHASES
from benchmarking.work import Work


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table, its columns as wide as they need to be."""
    lines = [list(map(str, line)) for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def of_times(work: Work, times: Mapping[str, Mapping[str, float]], rate: float) -> str:
    """Return the table of phases.  ``rate``: GFLOP/s of the best convolution of this run."""
    pytorch = {name: time["total"] for name, time in times.items() if not is_ours(name)}
    rows = []
    for name, time in times.items():
        speed = work.gflop / time["total"]
        against_eager = _ratio(time["total"], pytorch.get("eager"))
        against_best = _ratio(time["total"], min(pytorch.values(), default=None))
        phases = [f"{time[phase]:.3f}" for phase in (*PHASES, "total")]
        rows.append(
            [name, *phases, against_eager, against_best, f"{speed:.0f}", f"{speed / rate:.0%}"]
        )
    header = [f"{work.size} px", *PHASES, "total s", "/ eager", "/ best", "GFLOP/s", "of Conv's"]
    return table(header, rows)


def of_errors(errors: Mapping[str, tuple[float, float]]) -> str:
    """Return one line on how far the gradients are from PyTorch's eager one."""
    listed = (f"{name} {median:.1e} ({length:.1e})" for name, (median, length) in errors.items())
    return "gradient against PyTorch's, median (length) of the difference: " + ", ".join(listed)


def _ratio(ours: float, theirs: float | None) -> str:
    return "-" if theirs is None else f"{ours / theirs:.2f}"
