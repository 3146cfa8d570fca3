"""How many wrong codes of gift cards may be tried: per caller, per tenant, and for codes that begin alike.

A wrong code is well formed and no card has it; a code with a typing mistake does not count. Wrong codes are counted in
windows of time. Once a window is full no code is looked at until it ends: nobody learns whether the last one was right.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from loyalty.rules.gift_card_errors import TooManyWrongCodes

GUESS_WINDOW = timedelta(minutes=15)
"""It begins with the first wrong code."""

MAX_WRONG_CODES_OF_CUSTOMER = 10
"""Wrong codes of one customer in a window, whatever tokens they use."""

MAX_WRONG_CODES_OF_CLIENT = 100
"""Wrong codes of one API token or one person of the team: a shop asks for many customers."""

MAX_WRONG_CODES_OF_PREFIX = 20
"""Wrong codes that begin with the same 4 symbols, from whomever: somebody may have read half of a card."""

MAX_WRONG_CODES_OF_TENANT = 1_000
"""Wrong codes of all callers of a tenant."""


class Guesses(NamedTuple):
    """The wrong codes of one scope in its window, the newest included, and when the window ends."""

    scope: str
    wrong: int
    ends_at: datetime


def refuse_guesses(
    counted: Sequence[Guesses], limits: Mapping[str, int], *, known: bool, path: tuple[str, ...] = ("code",)
) -> None:
    """Refuse a code where a scope has had as many wrong ones before as its limit allows.

    `counted` holds this code too, unless it is `known`. So a right and a wrong code are refused alike.
    """
    full = [one.ends_at for one in counted if one.wrong - (0 if known else 1) >= limits[one.scope]]
    if full:
        raise TooManyWrongCodes(max(full), path)
