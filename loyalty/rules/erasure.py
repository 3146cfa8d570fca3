"""Erase a person: which texts of callers name somebody, and what a customer is without a person."""

from collections.abc import Iterable, Sequence

MARK_MIN_LENGTH = 4
"""Characters of a text that can name somebody inside of an id or a key: a shorter one stands in too many."""


def marks_of(
    *,
    external_ids: Iterable[str],
    names: Iterable[str],
    emails: Iterable[str | None],
    phones: Iterable[str | None],
    identifiers: Iterable[str],
) -> list[str]:
    """Return the texts, in small letters, by which ids and keys of the caller's systems may name a person.

    External ids count where they are e-mail addresses: others name nobody to who does not know them already.
    """
    told: Sequence[str | None] = (
        *(one for one in external_ids if "@" in one),
        *names,
        *emails,
        *phones,
        *identifiers,
    )
    return sorted({one.lower() for one in told if one is not None and len(one) >= MARK_MIN_LENGTH})
