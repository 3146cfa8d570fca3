"""Spans of time in filters of lists."""

from datetime import datetime

import strawberry

from loyalty.rules.errors import InvalidInput


@strawberry.input(description="A span of time; leave out what has no limit. It must not end before it begins.")
class TimeRangeInput:
    from_: datetime | None = strawberry.field(default=None, name="from", description="The first instant.")
    to: datetime | None = strawberry.field(default=None, description="The first instant after it.")


def span_of(given: TimeRangeInput | None, name: str) -> tuple[datetime | None, datetime | None]:
    """Return the first instant of a span and the first one after it; None for no limit. ``name`` is the filter's field.

    Refusal: InvalidInput, for a span that ends before it begins.
    """
    if given is None:
        return None, None
    if given.from_ is not None and given.to is not None and given.to < given.from_:
        raise InvalidInput.one("filter", name, "to", reason="must not be before the first instant")
    return given.from_, given.to
