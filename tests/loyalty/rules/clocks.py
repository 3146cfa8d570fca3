"""Thirty places with unusual changes of their clocks, and the times of the changes.

Days and weekdays must survive these changes.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

ZONES = (
    "Europe/Berlin",  # the common case: an hour, at 01:00 UTC
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Dublin",  # winter time is the "saving" time, by the database
    "Europe/Athens",
    "Europe/Chisinau",
    "Europe/Moscow",  # none any more
    "Atlantic/Azores",  # at midnight UTC, from a negative offset
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/St_Johns",  # half an hour off
    "America/Havana",  # at midnight
    "America/Santiago",  # at midnight, on the southern side
    "America/Asuncion",  # gave it up in 2024
    "America/Sao_Paulo",
    "America/Nuuk",
    "Africa/Cairo",  # at midnight, since 2023
    "Africa/Casablanca",  # back for Ramadan
    "Africa/El_Aaiun",
    "Asia/Beirut",  # at midnight
    "Asia/Jerusalem",
    "Asia/Gaza",
    "Asia/Kolkata",  # half an hour off, none
    "Asia/Kathmandu",  # three quarters of an hour off
    "Australia/Sydney",
    "Australia/Adelaide",  # half an hour off, with changes
    "Australia/Lord_Howe",  # a change of half an hour
    "Pacific/Chatham",  # three quarters of an hour off, with changes
    "Pacific/Apia",  # at the end of the calendar day
)
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=12)


@cache
def changes_of(zone: str) -> tuple[datetime, ...]:
    """Return the instants from 2024 to 2030 at which a place's offset changes, to the minute.

    The zone database says so.
    """
    place, changes, at = ZoneInfo(zone), [], FIRST
    while at < LAST:
        if _offset(place, at) != _offset(place, at + STEP):
            early, late = at, at + STEP
            while late - early > timedelta(minutes=1):
                middle = early + (late - early) / 2
                middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
                middle = max(middle, early + timedelta(minutes=1))
                early, late = (early, middle) if _offset(place, early) != _offset(place, middle) else (middle, late)
            changes.append(late)
        at += STEP
    return tuple(changes)


def _offset(place: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(place).utcoffset()
