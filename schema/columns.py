"""Convert the values of this API's own scalars for the answer, a whole list at once.

Each function gives the same result as the scalar's own function in `schema/scalars.py`. That one converts the values
one by one if a list has unexpected values. A test compares the two.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from execution.columns import LeafColumns, convert_distinct
from loyalty.rules.points import MAX_POINTS
from schema.scalars import (
    parse_color,
    parse_currency_code,
    parse_cursor,
    parse_decimal,
    parse_duration,
    parse_locale,
    parse_time_zone,
    serialize_date,
    serialize_date_time,
)


def _convert_points(values: list[Any]) -> list[Any] | None:
    return values if min(values) >= -MAX_POINTS and max(values) <= MAX_POINTS else None


COLUMNS: Mapping[str, LeafColumns] = {
    "Points": {int: _convert_points},
    "DateTime": {dt.datetime: convert_distinct(serialize_date_time)},
    "Date": {dt.date: convert_distinct(serialize_date)},
    "Duration": {str: convert_distinct(parse_duration)},
    "Decimal": {str: convert_distinct(parse_decimal)},
    "CurrencyCode": {str: convert_distinct(parse_currency_code)},
    "TimeZone": {str: convert_distinct(parse_time_zone)},
    "Locale": {str: convert_distinct(parse_locale)},
    "Color": {str: convert_distinct(parse_color)},
    "Cursor": {str: convert_distinct(parse_cursor)},
}
"""The columns of each scalar, by the class of its values."""
