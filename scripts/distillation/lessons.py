"""The lessons: what the student learns from which teacher, in two stages, lower and upper."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What is taught, to which blocks, on which crops, in which share of the steps."""

    name: str
    lessons: tuple[tuple[str, str], ...]  # (student's tap, teacher's layer)
    counts: tuple[float, ...]  # what each lesson's error counts
    runs: str  # blocks of the student
    learns: str  # blocks; the others are frozen
    crop: int  # pixels
    crops: int  # a step
    share: float


STAGES = (
    Stage(
        "lower",
        (
            ("relu1_1", "vgg19 relu1_1"),
            ("relu1_2", "vgg19 relu1_2"),
            ("relu2_1", "vgg19 relu2_1"),
            ("relu2_2", "vgg19 relu2_2"),
            ("relu3_1", "vgg19 relu3_1"),
            ("relu3_2", "vgg19 relu3_2"),
            ("relu3_3", "vgg19 relu3_3"),
        ),
        counts=(1, 0.5, 2, 0.5, 3, 1, 6),  # painting reads relu1_1, 2_1, 3_1 and 3_3
        runs="123",
        learns="123",
        crop=96,
        crops=16,
        share=0.85,
    ),
    Stage(
        "upper",
        (
            ("relu4_1", "vgg19 pool3"),
            ("relu4_1", "fire3"),
            ("relu4_2", "fire3"),
            ("relu4_2", "fire4"),
            ("relu4_3", "fire4"),
            ("relu5_1", "fire5"),
            ("relu5_2", "fire6"),
            ("relu5_2", "fire7"),
            ("relu5_3", "fire8"),
        ),
        counts=(3, 1, 1, 1, 1, 1, 1, 1, 1),  # relu4_1 is what paints
        runs="12345",
        learns="45",
        crop=128,
        crops=8,
        share=0.15,
    ),
)
