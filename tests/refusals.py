"""What a user is told, and what goes wrong for it to be told."""

import pytest

from nst.errors import NstError


def refusal_of(function, *args) -> str:
    with pytest.raises(NstError) as raised:
        function(*args)
    message = str(raised.value)
    assert "\n" not in message
    return message


def raiser(failure):
    def fail(*args, **options):
        raise failure

    return fail
