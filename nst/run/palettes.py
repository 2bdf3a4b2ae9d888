"""The palette of what is painted: brought to that of the paintings, region by region."""

from typing import TYPE_CHECKING

import numpy as np

from nst.pictures import colour, images

if TYPE_CHECKING:
    from nst.run.inputs import Inputs


def matched(inputs: "Inputs", painted: np.ndarray) -> np.ndarray:
    """Return ``painted`` (3, H, W) with the mean and covariance of the paintings' colours.

    Each region has those of its own paintings, blended by their weights.  With a strength below 1
    as much of the painted colours stays.
    """
    result = painted.copy()
    for part in dict.fromkeys(painting.part for painting in inputs.paintings):
        paintings = [one for one in inputs.paintings if one.part == part]
        region = paintings[0].region
        sized = None if region is None else images.resize(region, *painted.shape[1:])
        moments = colour.blended(
            [colour.colour_moments(one.picture, one.mask) for one in paintings],
            [one.weight for one in paintings],
        )
        coloured = colour.match_moments(painted, moments, sized)
        amount = inputs.settings.strength * (1.0 if sized is None else sized)
        result += np.asarray(amount, np.float32) * (coloured - painted)
    return result.clip(0, 1)
