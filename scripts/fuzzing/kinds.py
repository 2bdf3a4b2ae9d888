"""The kinds of cases by name."""

from fuzzing import checkpoints, models, pictures, words
from fuzzing.cases import Kind

KINDS = {
    "images": Kind(pictures.draw, pictures.standing),
    "models": Kind(models.draw, models.standing, 0.2),
    "settings": Kind(words.draw, words.standing, 0.2),
    "checkpoints": Kind(checkpoints.draw, checkpoints.standing, 0.05),
}
