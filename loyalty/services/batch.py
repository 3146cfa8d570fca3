"""Batches: items are refused one by one, also late, and are worked on in slices between which others have a turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from loyalty.rules.errors import LoyaltyError
from tenancy.retry import retry_transaction

R = TypeVar("R")
T = TypeVar("T")

SLICE_ITEMS = 20
"""Items of a batch that are worked on at once, about 10 ms; then others have their turn."""

Refused = Mapping[int, LoyaltyError]
"""The refusals of items, by their position."""


class LateRefusals(Exception):
    """Items turned out to be refused when their customers were already opened: roll back, go again without them."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self.refused = refused


async def attempt_batch(attempt: Callable[[Refused], Awaitable[R]], refused: Refused) -> R:
    """Run one transaction for a batch without the items that are ``refused``, again whenever more of them turn out."""
    while True:
        try:
            return await retry_transaction(partial(attempt, refused))
        except LateRefusals as late:
            refused = {**refused, **late.refused}


async def yield_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Give items one after another, and let everybody else in the process have a turn after each ``SLICE_ITEMS``.

    It may run inside a transaction: what the batch has locked stays locked, and only the batch knows its books.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE_ITEMS == 0:
            await asyncio.sleep(0)
