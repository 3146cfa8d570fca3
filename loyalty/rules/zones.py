"""Time zones (IANA) and languages (BCP 47): their validation, the begin of a local day, and the matching of locales."""

import re
from datetime import UTC, date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from loyalty.rules.errors import InvalidInput

LOCALE_MAX_LENGTH = 35
"""The length that RFC 5646, section 4.4.1 recommends to provide for."""

_NOT_PLACES = frozenset({"Factory", "localtime", "posixrules"})
"""Entries of the zone database that mean "the zone of this machine"."""

REGION_LENGTH, SCRIPT_LENGTH = 2, 4
_LOCALE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"  # language, with extended languages
    r"(?:-[a-z]{4})?"  # script
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"  # region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*",  # variants
    re.ASCII | re.IGNORECASE,
)


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_PLACES)


def is_time_zone(name: str) -> bool:
    """Tell whether the IANA database has a zone of exactly this name, such as Europe/Berlin."""
    return name in _time_zones()


def find_time_zone(name: str, path: tuple[str, ...] = ("time_zone",)) -> ZoneInfo:
    """Return the zone of an IANA name. Raises InvalidInput if there is none."""
    if not is_time_zone(name):
        raise InvalidInput.one(*path, reason="must be the name of an IANA time zone")
    return ZoneInfo(name)


def begin_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day.

    If clocks go forward at midnight, there is no 00:00; fold 0 reads it with the offset before the change, which gives
    the instant of the change. If clocks go back past midnight, fold 0 is the first of the two (PEP 495).
    """
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def is_locale(tag: str) -> bool:
    """Tell whether a tag has the form language[-script][-region][-variants] of BCP 47 (RFC 5646, section 2.1).

    Extensions, private use and grandfathered tags are refused. Whether the subtags are registered is not checked.
    """
    return len(tag) <= LOCALE_MAX_LENGTH and _LOCALE.fullmatch(tag) is not None


def correct_locale(text: str) -> str | None:
    """Return the BCP 47 tag that a text means, such as de-DE for `de_DE.UTF-8` or `DE-de`; None if it is no language.

    POSIX writes language[_territory][.codeset][@modifier] (IEEE Std 1003.1, section 8.2); only the first two count.
    """
    tag = text.strip().partition(".")[0].partition("@")[0].replace("_", "-")
    return spell_locale(tag) if is_locale(tag) else None


def spell_locale(tag: str) -> str:
    """Return a tag in its usual letters: sr-Latn-RS for `SR-latn-rs`. Tags that differ only in case are one locale.

    Regions have capitals and scripts a capital at their beginning (RFC 5646, section 2.1.1).
    """
    language, *subtags = tag.lower().split("-")
    return "-".join([language, *map(_spell_subtag, subtags)])


def _spell_subtag(subtag: str) -> str:
    """Return a subtag in its usual letters: a region in capitals, a script with a capital at its beginning."""
    if len(subtag) == REGION_LENGTH:
        return subtag.upper()
    return subtag.title() if len(subtag) == SCRIPT_LENGTH and subtag.isalpha() else subtag


def locale_matches(wanted: str, locale: str) -> bool:
    """Tell whether a locale is the wanted one or a part of it: de matches de and de-AT, but not den.

    This is basic filtering of RFC 4647, section 3.3.1, without the wildcard. Case does not matter.
    """
    wanted, locale = wanted.lower(), locale.lower()
    return locale == wanted or locale.startswith(wanted + "-")


def language_of(locale: str) -> str:
    """Return the primary language of a tag in lower case: de for de-AT."""
    return locale.split("-", 1)[0].lower()
