"""Spans of time that lists are narrowed to."""

from datetime import datetime

import strawberry


@strawberry.input(description="A span of time; leave out what has no limit.")
class TimeRangeInput:
    from_: datetime | None = strawberry.field(default=None, name="from", description="The first instant.")
    to: datetime | None = strawberry.field(default=None, description="The first instant after it.")


def span_of(given: TimeRangeInput | None) -> tuple[datetime | None, datetime | None]:
    """The first instant and the first one after the span; None for no limit."""
    return (None, None) if given is None else (given.from_, given.to)
