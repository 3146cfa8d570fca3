"""The birthday of a customer, with or without the year, as vCard 4.0 writes it (RFC 6350, sections 4.3.1 and 6.2.5).

`1990-05-17` is a full date, `--05-17` a day of the year. The short forms of the RFC, `19900517` and `--0517`, are
accepted and turned into these.
"""

import re
from datetime import date
from typing import NamedTuple

from loyalty.rules.errors import Problem

EARLIEST_BIRTH_YEAR = 1850
"""The earliest year of a birthday: an earlier one is a typing error."""
_LEAP_YEAR = 2000
_SHORT = re.compile(r"([0-9]{4}|--)([0-9]{2})([0-9]{2})", re.ASCII)
_LONG = re.compile(r"([0-9]{4}|-)-([0-9]{2})-([0-9]{2})", re.ASCII)
_REASON = "must be a date such as 1990-05-17, or without the year --05-17"


class DayOfYear(NamedTuple):
    """A month and a day, without a year."""

    month: int
    day: int

    @property
    def number(self) -> int:
        """The day as a number that grows through the year: 517 is the 17th of May."""
        return self.month * 100 + self.day


def tidy_birthday(told: str) -> str:
    """Return a birthday in the long form: `19900517` becomes `1990-05-17`. Other texts only lose blanks round them."""
    text = told.strip()
    short = _SHORT.fullmatch(text)
    return text if short is None else f"{short[1].replace('--', '-')}-{short[2]}-{short[3]}"


def check_birthday(birthday: str, path: tuple[str, ...] = ("birthday",)) -> Problem | None:
    """Return what is wrong with a birthday in the long form; None if it is right, or lies in the future."""
    match = _LONG.fullmatch(birthday)
    if match is None or day_of_year(birthday) is None:
        return Problem(path, _REASON)
    if match[1] != "-" and int(match[1]) < EARLIEST_BIRTH_YEAR:
        return Problem(path, f"must not lie before the year {EARLIEST_BIRTH_YEAR}")
    return None


def check_birthday_is_past(birthday: str, last_day: date) -> Problem | None:
    """Return a problem if a birthday with a year is after ``last_day``; None if it is not, or has no year.

    ``last_day`` is today's date in the time zone where the date is the latest.
    """
    if birthday.startswith("-") or birthday <= last_day.isoformat():
        return None
    return Problem(("birthday",), "must not lie ahead")


def day_of_year(birthday: str) -> DayOfYear | None:
    """Return the day of the year of a birthday; None for a text that is no birthday."""
    match = _LONG.fullmatch(birthday)
    if match is None:
        return None
    try:
        found = date(_LEAP_YEAR if match[1] == "-" else int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    return DayOfYear(found.month, found.day)
