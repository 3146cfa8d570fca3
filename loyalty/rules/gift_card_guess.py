"""How many wrong codes of gift cards may be tried: per caller, per tenant, and per prefix of the code.

A wrong code is well formed, but no card has it; a code with a typing mistake does not count. Wrong codes are counted in
windows of time. When a window is full, all codes are refused until it ends. So nobody learns whether the last code was
right.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from loyalty.rules.gift_card_errors import TooManyWrongCodes

GUESS_WINDOW = timedelta(minutes=15)
"""The length of a window. It begins with the first wrong code."""

MAX_WRONG_CODES_OF_CUSTOMER = 10
"""The most wrong codes of one customer in a window, over all their tokens."""

MAX_WRONG_CODES_OF_CLIENT = 100
"""The most wrong codes of one API token or one person of the team: a shop asks for many customers."""

MAX_WRONG_CODES_OF_PREFIX = 20
"""The most wrong codes with the same first 4 symbols, from all callers: somebody may have read half of a card."""

MAX_WRONG_CODES_OF_TENANT = 1_000
"""The most wrong codes of all callers of a tenant."""


class Guesses(NamedTuple):
    """The number of wrong codes of one scope in its window, the newest one included, and the end of the window."""

    scope: str
    wrong: int
    ends_at: datetime


def refuse_guesses(
    counted: Sequence[Guesses], limits: Mapping[str, int], *, known: bool, path: tuple[str, ...] = ("code",)
) -> None:
    """Refuse a code if the wrong codes before it have reached the limit of one of its scopes.

    `counted` has the wrong codes of each scope. A wrong code is counted in it already, a right one (`known`) is not. So
    a right and a wrong code are refused alike. Raises TooManyWrongCodes.
    """
    full = [one.ends_at for one in counted if one.wrong - (0 if known else 1) >= limits[one.scope]]
    if full:
        raise TooManyWrongCodes(max(full), path)
