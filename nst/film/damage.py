"""What is missing of a film that can be read all the same: it is painted, and said."""

from itertools import pairwise

from nst.errors import warn
from nst.film.clip import Clip, Film
from nst.film.scenes import Survey
from nst.values import format_seconds

SHORT = 0.25  # seconds, or two frames: by which a film may end before it says
FEW = 0.1  # of all frames, behind which something is missing: of more, the film was made so


def warn_of(clip: Clip, survey: Survey) -> None:
    """Warn with NstWarning where a film was cut off, or where frames are damaged or missing."""
    if not isinstance(clip, Film):
        return
    cut, lost = look_at_packets(clip)
    found = [cut]
    if survey.damaged or lost:
        where = f", the first of them frame {survey.damaged[0] + 1}" if survey.damaged else ""
        found.append(f"frames in it are not whole{where}")
    if (gap := gap_in(survey)) is not None:
        found.append(f"frames are missing behind frame {gap}")
    for one in filter(None, found):
        warn(f"{clip.name} is damaged: {one}; what is there is painted")


def look_at_packets(film: Film) -> tuple[str | None, int]:
    """Return what to say if pictures and sound end before the film says, and how many are cut."""
    lost, begin, end = 0, float("inf"), 0.0
    with film.opened() as (container, _):
        said = (container.duration or 0) / 1e6  # in microseconds
        for packet in container.demux():
            lost += packet.is_corrupt
            if packet.pts is not None and not packet.is_corrupt:
                begin = min(begin, float(packet.pts * packet.time_base))
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    if end - begin >= said - max(SHORT, float(2 / film.rate)):
        return None, lost
    return f"it ends after {format_seconds(end - begin)} of {format_seconds(said)}", lost


def gap_in(survey: Survey) -> int | None:
    """Return behind how many frames the first gap is; None: there is none.

    A frame there ends, by its duration, long before the next one begins.
    """
    lengths = [after - before for before, after in pairwise(survey.pts)]
    gaps = [
        number
        for number, (length, shown) in enumerate(
            zip(lengths, survey.durations, strict=False), start=1
        )
        if length > 1.8 * shown
    ]
    return gaps[0] if gaps and len(gaps) <= FEW * len(survey) else None
