"""The time since when each fact about a customer is so, as `customers.facts_at` stores it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def round_times(times: Mapping[str, datetime]) -> dict[str, int]:
    """Return the times in their stored form: whole numbers, which compare exactly."""
    return {name: (at - _EPOCH) // _MICROSECOND for name, at in times.items()}


def find_telling_time(facts_at: Mapping[str, int], name: str) -> datetime | None:
    """Return since when a fact is so; None if it was never told, or told to an earlier release."""
    kept = facts_at.get(name)
    return None if kept is None else _EPOCH + kept * _MICROSECOND
