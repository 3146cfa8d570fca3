"""Batches whose items are refused one by one, also where that shows only after their customers were opened."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from loyalty.rules.errors import LoyaltyError
from tenancy.retry import retried

R = TypeVar("R")

Refused = Mapping[int, LoyaltyError]
"""The refusals of items, by their position."""


class LateRefusals(Exception):
    """Items turned out to be refused when their customers were already opened: roll back, go again without them."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self.refused = refused


async def attempted(attempt: Callable[[Refused], Awaitable[R]], refused: Refused) -> R:
    """Run one transaction for a batch without the items that are ``refused``, again whenever more of them turn out."""
    while True:
        try:
            return await retried(partial(attempt, refused))
        except LateRefusals as late:
            refused = {**refused, **late.refused}
