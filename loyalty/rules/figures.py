"""Figures: what the entries of a local day, a month and a year add up to, and on which days a customer was active.

A range of days is the sum of few figures: whole years, whole months before and after them, and the days at both ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import ACTIVE
from loyalty.rules.ids import CustomerId


class FigurePeriod(StrEnum):
    """The length of time that a figure covers."""

    DAY = "DAY"
    MONTH = "MONTH"
    YEAR = "YEAR"

    def first_day(self, day: date) -> date:
        """Return the first day of the period that a day lies in."""
        if self is FigurePeriod.DAY:
            return day
        return day.replace(day=1) if self is FigurePeriod.MONTH else day.replace(month=1, day=1)


class Figure(NamedTuple):
    """The sum of the entries of one kind in one period of local days."""

    period: FigurePeriod
    starts_on: date
    kind: EntryKind
    points: int
    """The sum of the signed points."""


class ActiveDay(NamedTuple):
    """A local day on which a customer earned or redeemed."""

    day: date
    customer_id: CustomerId


class ActiveSpan(NamedTuple):
    """The first and the last active day of a customer."""

    customer_id: CustomerId
    first_day: date
    last_day: date


class Movement(NamedTuple):
    """The parts of an entry that figures are made of."""

    kind: EntryKind
    points: int
    customer_id: CustomerId
    occurred_at: datetime


class Span(NamedTuple):
    """All periods of one length that begin from ``first`` on and before ``after``."""

    period: FigurePeriod
    first: date
    after: date


def add_up(movements: Iterable[Movement], zone: ZoneInfo) -> tuple[list[Figure], list[ActiveDay]]:
    """Return the figures of entries and the active days of their customers, both in the order of their keys.

    The days are local days of the zone.
    """
    sums: dict[tuple[FigurePeriod, date, EntryKind], int] = defaultdict(int)
    active: set[ActiveDay] = set()
    for one in movements:
        day = one.occurred_at.astimezone(zone).date()
        for period in FigurePeriod:
            sums[period, period.first_day(day), one.kind] += one.points
        if one.kind in ACTIVE:
            active.add(ActiveDay(day, one.customer_id))
    return [Figure(*key, points) for key, points in sorted(sums.items())], sorted(active)


def find_spans(days: Sequence[ActiveDay]) -> list[ActiveSpan]:
    """Return the span of each customer with active days, in the order of their ids. The days are given in order."""
    first = {one.customer_id: one.day for one in reversed(days)}
    last = {one.customer_id: one.day for one in days}
    return [ActiveSpan(customer, first[customer], last[customer]) for customer in sorted(first)]


def split_days(first: date, after: date) -> list[Span]:
    """Split the days from ``first`` on and before ``after`` into spans of days, months and years.

    Together the spans have each day once. There are at most five of them.
    """
    months = _find_whole_periods(FigurePeriod.MONTH, first, after)
    years = _find_whole_periods(FigurePeriod.YEAR, months.first, months.after)
    spans = (
        Span(FigurePeriod.DAY, first, months.first),
        Span(FigurePeriod.MONTH, months.first, years.first),
        years,
        Span(FigurePeriod.MONTH, years.after, months.after),
        Span(FigurePeriod.DAY, months.after, after),
    )
    return [one for one in spans if one.first < one.after]


def _find_whole_periods(period: FigurePeriod, first: date, after: date) -> Span:
    """Return the span of the whole periods between two days. If there is none, return an empty span at the end."""
    begin, end = period.first_day(first), period.first_day(after)
    if begin < first:
        longest = timedelta(days=31 if period is FigurePeriod.MONTH else 366)
        begin = period.first_day(begin + longest)
    return Span(period, begin, end) if begin < end else Span(period, after, after)
