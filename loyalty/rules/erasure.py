"""Erase a person: find the texts by which ids and keys of callers may name the person."""

from collections.abc import Iterable, Sequence

from loyalty.rules.described_enum import DescribedEnum

MARK_MIN_LENGTH = 4
"""The shortest text that is searched for in ids and keys: a shorter one is part of too many of them."""


class ErasureCause(DescribedEnum):
    """Why a person was erased. More causes may come."""

    CALL = "CALL", "Somebody asked for it with `customerErase`."
    RETENTION = "RETENTION", "The customer was inactive for longer than the retention of the tenant."


def marks_of(
    *,
    external_ids: Iterable[str],
    names: Iterable[str],
    emails: Iterable[str | None],
    phones: Iterable[str | None],
    identifiers: Iterable[str],
) -> list[str]:
    """Return the texts, in small letters, by which ids and keys of the caller's systems may name a person.

    An external id counts only if it is an e-mail address. Other external ids name nobody to a stranger.
    """
    told: Sequence[str | None] = (
        *(one for one in external_ids if "@" in one),
        *names,
        *emails,
        *phones,
        *identifiers,
    )
    return sorted({one.lower() for one in told if one is not None and len(one) >= MARK_MIN_LENGTH})
