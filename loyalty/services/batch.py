"""Batches: single items are refused, even late. A batch works in slices, so that other requests get their turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from loyalty.rules.errors import LoyaltyError
from tenancy.retry import retry_transaction

R = TypeVar("R")
T = TypeVar("T")

SLICE_ITEMS = 20
"""The number of items that a batch works on at once, about 10 ms. Then other requests get their turn."""

Refused = Mapping[int, LoyaltyError]
"""The refusals of items, by their position."""


class LateRefusals(Exception):
    """Items were refused after their customers were opened. The transaction rolls back and runs again without them."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self.refused = refused


async def attempt_batch(attempt: Callable[[Refused], Awaitable[R]], refused: Refused) -> R:
    """Run one transaction for a batch without the ``refused`` items. It runs again each time more items are refused."""
    while True:
        try:
            return await retry_transaction(partial(attempt, refused))
        except LateRefusals as late:
            refused = {**refused, **late.refused}


async def yield_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items one after another. After each ``SLICE_ITEMS`` items, other tasks of the process get their turn.

    It may run inside a transaction: the locks of the batch stay, and only the batch knows its books.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE_ITEMS == 0:
            await asyncio.sleep(0)
