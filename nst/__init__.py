"""Neural style transfer, written so that every number can be stepped through.

import nst
result = nst.stylize("photograph.jpg", "painting.jpg", size=512)
result.save("out.png")
"""

from nst.api import paint, resume, stylize
from nst.errors import NstError
from nst.many.batch import batch
from nst.many.sheet import sheet
from nst.run.records import Progress
from nst.settings import Painting, Settings
from nst.stylize import Result, Run
from nst.version import VERSION as __version__

__all__ = [
    "NstError",
    "Painting",
    "Progress",
    "Result",
    "Run",
    "Settings",
    "__version__",
    "batch",
    "paint",
    "resume",
    "sheet",
    "stylize",
]
