"""The lesson's subject, as small as it may be, and once for all tests of the lesson."""

import pytest

from nst.kernels.blocks import blas_on_one_thread
from nst.lesson import subject as subjects


@pytest.fixture(scope="session")
def subject():
    with blas_on_one_thread():
        yield subjects.read(None, "swirl", 64)
