"""The sums of a log of events for each day: how often each kind happened, and how many points it moved."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from loyalty.rules.event_codec import AnyEvent
from loyalty.rules.events import EventKind


class DailyFigure(NamedTuple):
    """The sums of the events of one kind on one local day."""

    day: date
    kind: EventKind
    events: int
    points: int
    """The sum of the signed points of the events; 0 for a kind that moves no points."""


def sum_by_day(happened: Iterable[tuple[datetime, AnyEvent]], zone: ZoneInfo) -> list[DailyFigure]:
    """Return the figures of events with their instants, in the order of day and kind.

    The days are local days of the zone.
    """
    sums: dict[tuple[date, EventKind], list[int]] = defaultdict(lambda: [0, 0])
    for instant, event in happened:
        figure = sums[instant.astimezone(zone).date(), event.kind]
        figure[0] += 1
        figure[1] += getattr(event, "points", 0)
    return [DailyFigure(day, kind, events, points) for (day, kind), (events, points) in sorted(sums.items())]
