"""Tidy the external ids in keys. A key that an earlier release stored with an untidy id is still found."""

from collections.abc import Awaitable, Callable, Container, Sequence
from typing import TypeVar

from loyalty.rules.text import tidy_id
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.points_paid import PurchaseKey

Key = TypeVar("Key", PurchaseKey, CatalogPlace)


async def tidy_keys(keys: Sequence[Key], find_kept: Callable[[Sequence[Key]], Awaitable[Container[Key]]]) -> list[Key]:
    """Return the keys with tidy ids. A key with an untidy id stays unchanged if ``find_kept`` finds it in the database.

    An earlier release stored ids as they came, and the row must still be found under its id. ``find_kept`` returns
    those of the keys that are stored. Nearly all keys are tidy, and need no query.
    """
    tidied = [key._replace(external_id=tidy_id(key.external_id)) for key in keys]
    untidy = [key for key, tidy in zip(keys, tidied, strict=True) if key != tidy]
    if not untidy:
        return tidied
    kept = await find_kept(list(dict.fromkeys(untidy)))
    return [key if key in kept else tidy for key, tidy in zip(keys, tidied, strict=True)]
