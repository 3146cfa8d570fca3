"""The scalars of the public API. Each accepts exactly one spelling of a value, and names the problem of any other.

Every check is on ASCII: `int()`, `float()` and `Decimal()` accept full-width digits, underscores, NaN and exponents,
which must never reach points or money. Each output is checked, too: a value outside its scalar is a bug that shows at
once. A refused input becomes an `UnreadableValue`, whose path `input_values` finds.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NewType, NoReturn

import strawberry
from graphql import FloatValueNode, GraphQLError, IntValueNode, StringValueNode, ValueNode
from strawberry.types.scalar import ScalarDefinition

from loyalty.rules.money import is_currency
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.quantity import QUANTITY_MAX_DECIMALS, quantity_document
from loyalty.rules.quantity import parse_quantity as read_quantity
from loyalty.rules.zones import correct_locale, is_time_zone

Points = NewType("Points", int)
Quantity = NewType("Quantity", Fraction)
Decimal = NewType("Decimal", str)
Duration = NewType("Duration", str)
CurrencyCode = NewType("CurrencyCode", str)
TimeZone = NewType("TimeZone", str)
Locale = NewType("Locale", str)
Color = NewType("Color", str)
Cursor = NewType("Cursor", str)

MAX_DECIMAL_LENGTH = 40
MAX_CURSOR_LENGTH = 512
MAX_SCALAR_TEXT_LENGTH = 1024
MAX_DURATION_DIGITS = 5
MAX_QUOTED_LENGTH = 40
"""The number of characters of a refused value that a message repeats."""

_MAX_POINTS_LENGTH = len(str(MAX_POINTS)) + 1
_DATE_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_WHOLE = re.compile(r"-?[0-9]+\.0+", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_COUNT = rf"[0-9]{{1,{MAX_DURATION_DIGITS}}}"
_DURATION = re.compile(
    rf"P(?!$)(?:{_COUNT}Y)?(?:{_COUNT}M)?(?:{_COUNT}W)?(?:{_COUNT}D)?"
    rf"(?:T(?!$)(?:{_COUNT}H)?(?:{_COUNT}M)?(?:{_COUNT}S)?)?",
    re.ASCII,
)
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)
_CURSOR = re.compile(r"[A-Za-z0-9+/_=.:-]+", re.ASCII)


class RefusedValue(GraphQLError):
    """A value does not fit its scalar. ``reason`` is a part of a sentence about the accepted values."""

    def __init__(self, scalar: str, shown: str, problem: str) -> None:
        super().__init__(f"{scalar} refuses {shown}: {problem}")
        self.reason = f"is no {scalar}: {problem}"


@dataclass(frozen=True, slots=True, eq=False)
class UnreadableValue:
    """Replaces a value that a scalar refused, until the field or the item is refused.

    One wrong value must not refuse 1,000 items, and only the input knows the path. Code that uses it as the value
    fails: it has no truth, no text, no order and no number.
    """

    sent: object
    reason: str
    above: int = 0
    """How many levels above this place the wrong value is: for example 1 for an object of which this is a field."""

    def _fail(self, *_arguments: object) -> NoReturn:
        raise TypeError("an unreadable value was used as if it were readable")

    __bool__ = __str__ = __format__ = __int__ = __float__ = __index__ = __iter__ = __len__ = _fail
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _fail


def _readable_or_not(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the parse function of a scalar for the schema. A refused value becomes an ``UnreadableValue``."""

    def read(value: Any) -> Any:
        try:
            return parse(value)
        except RefusedValue as refused:
            return UnreadableValue(value, refused.reason)

    return read


def _refuse_value(scalar: str, value: object, problem: str) -> RefusedValue:
    """Return the error for a refused value, which is quoted short and escaped."""
    shown = value if isinstance(value, str) else f"{type(value).__name__}"
    if isinstance(value, bool):
        shown = "true" if value else "false"
    elif value is None:
        shown = "null"
    elif isinstance(value, str):
        cut = value[:MAX_QUOTED_LENGTH]
        shown = ascii(cut) + ("…" if len(value) > MAX_QUOTED_LENGTH else "")
    return RefusedValue(scalar, str(shown), problem)


def _require_text(scalar: str, value: object, example: str) -> str:
    """Return a value that is a text of at most ``MAX_SCALAR_TEXT_LENGTH`` characters; else raise an error.

    The error shows ``example``.
    """
    if not isinstance(value, str):
        raise _refuse_value(scalar, value, f'send a string, such as "{example}"')
    if len(value) > MAX_SCALAR_TEXT_LENGTH:
        raise _refuse_value(scalar, value, f"longer than {MAX_SCALAR_TEXT_LENGTH} characters")
    return value


# ── Points ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_points(value: object) -> int:
    """Return whole points within ± `MAX_POINTS`, also from `5.0`. Refuses booleans, fractions and text."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_POINTS:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        shown = repr(value) if isinstance(value, float) else value
        raise _refuse_value("Points", shown, "send a whole number, not a text, fraction or boolean")
    if not -MAX_POINTS <= value <= MAX_POINTS:
        raise RefusedValue("Points", "a number", f"send a number within ±{MAX_POINTS}")
    return value


def _parse_points_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> Any:
    reason = "Points", "this literal", "send a whole number, not a text, fraction or boolean"
    if isinstance(node, FloatValueNode) and _WHOLE.fullmatch(node.value):
        digits = node.value.partition(".")[0]
    elif isinstance(node, IntValueNode):
        digits = node.value
    else:
        return UnreadableValue(None, RefusedValue(*reason).reason)
    if len(digits) > _MAX_POINTS_LENGTH:
        return UnreadableValue(None, RefusedValue(*reason[:2], f"send a number within ±{MAX_POINTS}").reason)
    return _readable_or_not(parse_points)(int(digits))


# ── Quantity ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_quantity(value: object) -> int | Fraction:
    """Return a number of units, never negative, with at most three decimals, from a number or a decimal text."""
    problem = f'send a whole number, or a text such as "1.5" with at most {QUANTITY_MAX_DECIMALS} decimals'
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refuse_value("Quantity", value, problem)
    if not isinstance(value, str) and not abs(value) <= MAX_POINTS:
        raise RefusedValue("Quantity", "a number", problem)
    # The shortest text of a float is the number that was sent: it becomes a decimal before any calculation.
    text = value if isinstance(value, str) else str(value)
    quantity = read_quantity(text) if len(text) <= MAX_DECIMAL_LENGTH else None
    if quantity is None:
        raise _refuse_value("Quantity", text, problem)
    return quantity


def serialize_quantity(value: object) -> int | str:
    """Return a whole number as a JSON number, any other number as a decimal text."""
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise GraphQLError("Quantity cannot show a value that is no exact number")
    return quantity_document(value)


def _parse_quantity_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> Any:
    if isinstance(node, IntValueNode | FloatValueNode | StringValueNode):
        return _readable_or_not(parse_quantity)(node.value)
    return _readable_or_not(parse_quantity)(None)


# ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_date_time(value: object) -> dt.datetime:
    """Return an RFC 3339 instant with its offset as aware UTC. Digits below microseconds are cut off."""
    text = _require_text("DateTime", value, "2026-03-01T09:30:00+01:00")
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise _refuse_value("DateTime", text, 'write an RFC 3339 instant, such as "2026-03-01T09:30:00+01:00"')
    if match["offset"] is None:
        raise _refuse_value("DateTime", text, 'the offset is missing: end with "Z" or an offset such as "+01:00"')
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    offset = match["offset"].upper().replace("Z", "+00:00")
    try:
        return dt.datetime.fromisoformat(f"{match['date']}T{match['time']}.{fraction}{offset}").astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise _refuse_value("DateTime", text, "there is no such instant") from None


def serialize_date_time(value: object) -> str:
    """Return the instant in UTC with `Z`. A value without a zone is a bug."""
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise GraphQLError("DateTime cannot show a value without a time zone")
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def parse_date(value: object) -> dt.date:
    """Return a calendar day from `YYYY-MM-DD`."""
    text = _require_text("Date", value, "2026-03-01")
    if not _DATE.fullmatch(text):
        raise _refuse_value("Date", text, 'write a day, such as "2026-03-01"')
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise _refuse_value("Date", text, "there is no such day") from None


def serialize_date(value: object) -> str:
    """Return the day as `YYYY-MM-DD`. An instant is a bug: without a time zone it has no day."""
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise GraphQLError("Date cannot show a value that is not a day")
    return value.isoformat()


def parse_duration(value: object) -> str:
    """Return an ISO 8601 duration of whole numbers, such as `PT3H` or `P12M`, never negative."""
    text = _require_text("Duration", value, "PT3H")
    if not _DURATION.fullmatch(text):
        raise _refuse_value(
            "Duration",
            text,
            f'write an ISO 8601 duration of whole numbers (≤ {MAX_DURATION_DIGITS} digits), such as "PT3H" or "P12M"',
        )
    return text


# ── Texts with a form ─────────────────────────────────────────────────────────────────────────────────────────────────


def parse_decimal(value: object) -> str:
    """Return a decimal number from a text, exactly as sent: ASCII digits, no exponent, no sign but `-`."""
    text = _require_text("Decimal", value, "12.30")
    if len(text) > MAX_DECIMAL_LENGTH:
        raise _refuse_value("Decimal", text, f"longer than {MAX_DECIMAL_LENGTH} characters")
    if not _DECIMAL.fullmatch(text):
        raise _refuse_value("Decimal", text, 'write plain digits with a point, such as "12.30"')
    return text


def parse_currency_code(value: object) -> str:
    """Return an active ISO 4217 code in capitals."""
    text = _require_text("CurrencyCode", value, "EUR")
    if not is_currency(text):
        raise _refuse_value("CurrencyCode", text, 'not an active ISO 4217 currency, such as "EUR"')
    return text


def parse_time_zone(value: object) -> str:
    """Return the name of an IANA time zone."""
    text = _require_text("TimeZone", value, "Europe/Berlin")
    if not is_time_zone(text):
        raise _refuse_value("TimeZone", text, 'not an IANA time zone, such as "Europe/Berlin"')
    return text


def parse_locale(value: object) -> str:
    """Return a BCP 47 language tag, or a text that means one, such as `de_AT`, unchanged."""
    text = _require_text("Locale", value, "de-AT")
    if correct_locale(text) is None:
        raise _refuse_value("Locale", text, 'not a BCP 47 language tag, such as "de-AT"')
    return text


def parse_color(value: object) -> str:
    """Return a colour `#RRGGBB` in capitals."""
    text = _require_text("Color", value, "#FFD700")
    if not _COLOR.fullmatch(text):
        raise _refuse_value("Color", text, 'write "#RRGGBB", such as "#FFD700"')
    return text.upper()


def parse_cursor(value: object) -> str:
    """Return a cursor of this API. Its content is checked by its user."""
    text = _require_text("Cursor", value, "MjAyNi0wMy0wMQ")
    if len(text) > MAX_CURSOR_LENGTH or not _CURSOR.fullmatch(text):
        raise _refuse_value("Cursor", text, "not a cursor of this API: send one that a connection or event gave you")
    return text


def _scalar(
    name: str,
    description: str,
    specified_by_url: str | None,
    parse: Callable[[object], Any],
    serialize: Callable[[Any], object] | None = None,
) -> ScalarDefinition:
    """Return a text scalar. The same check is used for variables, literals and, unless one is given, output."""
    read = _readable_or_not(parse)

    def parse_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> Any:
        if not isinstance(node, StringValueNode):
            return UnreadableValue(None, RefusedValue(name, "this literal", "send a string in quotes").reason)
        return read(node.value)

    return strawberry.scalar(
        name=name,
        description=description,
        specified_by_url=specified_by_url,
        serialize=serialize or parse,
        parse_value=read,
        parse_literal=parse_literal,
    )


SCALARS: Mapping[object, ScalarDefinition] = {
    Points: strawberry.scalar(
        name="Points",
        description=(
            f"A whole number of points between -{MAX_POINTS} and {MAX_POINTS}, as a JSON number: exact in every JSON "
            "reader. Texts, fractions and booleans are refused."
        ),
        serialize=parse_points,
        parse_value=_readable_or_not(parse_points),
        parse_literal=_parse_points_literal,
    ),
    Quantity: strawberry.scalar(
        name="Quantity",
        description=(
            "A number of units with at most three decimals, never negative: 2, or 1.5 for an hour and a half. Send a "
            'JSON number or a text such as "1.5". Answers have whole numbers as JSON numbers and all others as text.'
        ),
        serialize=serialize_quantity,
        parse_value=_readable_or_not(parse_quantity),
        parse_literal=_parse_quantity_literal,
    ),
    dt.datetime: _scalar(
        "DateTime",
        'An RFC 3339 instant with an offset, such as "2026-03-01T09:30:00+01:00". Answers are in UTC, with "Z".',
        "https://www.rfc-editor.org/rfc/rfc3339",
        parse_date_time,
        serialize_date_time,
    ),
    dt.date: _scalar(
        "Date",
        'A calendar day, such as "2026-03-01", in the time zone of the tenant.',
        "https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
        parse_date,
        serialize_date,
    ),
    Duration: _scalar(
        "Duration",
        'An ISO 8601 duration of whole numbers, such as "PT3H" (three hours) or "P12M" (a year). Never negative.',
        "https://www.iso.org/standard/70907.html",
        parse_duration,
    ),
    Decimal: _scalar(
        "Decimal",
        'A decimal number as text, such as "12.30": ASCII digits and a point, "-" if negative. No exponent or NaN.',
        None,
        parse_decimal,
    ),
    CurrencyCode: _scalar(
        "CurrencyCode",
        'An active ISO 4217 currency code, such as "EUR".',
        "https://www.iso.org/iso-4217-currency-codes.html",
        parse_currency_code,
    ),
    TimeZone: _scalar(
        "TimeZone",
        'The name of an IANA time zone, such as "Europe/Berlin".',
        "https://www.iana.org/time-zones",
        parse_time_zone,
    ),
    Locale: _scalar(
        "Locale",
        'A BCP 47 language tag, such as "de" or "de-AT". "de_AT" is read as "de-AT".',
        "https://www.rfc-editor.org/rfc/bcp/bcp47.txt",
        parse_locale,
    ),
    Color: _scalar(
        "Color",
        'A colour as "#RRGGBB", such as "#FFD700". Answers are in capitals.',
        "https://www.w3.org/TR/css-color-4/#hex-notation",
        parse_color,
    ),
    Cursor: _scalar(
        "Cursor",
        "A position in a list or a stream of events. Opaque: take it from an answer and send it back unchanged.",
        None,
        parse_cursor,
    ),
}
"""For `StrawberryConfig.scalar_map`: the Python type of an annotation → the scalar of the schema."""
