"""The scalars take one spelling of a value and name the problem with every other, however hostile."""

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError

from schema.executable import build_schema
from schema.scalars import (
    MAX_CURSOR_LENGTH,
    MAX_DECIMAL_LENGTH,
    SCALARS,
    Color,
    CurrencyCode,
    Cursor,
    Decimal,
    Duration,
    Locale,
    Points,
    TimeZone,
    parse_color,
    parse_currency_code,
    parse_cursor,
    parse_date,
    parse_date_time,
    parse_decimal,
    parse_duration,
    parse_locale,
    parse_points,
    parse_quantity,
    parse_time_zone,
    serialize_date,
    serialize_date_time,
    serialize_quantity,
)

MAX = 9_007_199_254_740_991

HOSTILE_TEXTS = [
    "",
    " ",
    "\x00",
    "\n",
    "'; DROP TABLE entries; --",
    "١٢",
    "１２",  # full-width digits
    "\ud800",
    "x" * 100_000,
    "1" * 5_000,
    "%s%s%s",
    "${jndi:ldap://x}",
    "../../etc/passwd",
]
NOT_TEXTS: list[object] = [None, True, False, 0, 1.5, float("nan"), float("inf"), [], {}, ["2026-01-01"], b"2026-01-01"]

TEXT_PARSERS: list[Callable[[object], object]] = [
    parse_date_time,
    parse_date,
    parse_duration,
    parse_decimal,
    parse_currency_code,
    parse_time_zone,
    parse_locale,
    parse_color,
]


@pytest.mark.parametrize("parse", TEXT_PARSERS, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize("value", [*HOSTILE_TEXTS, *NOT_TEXTS], ids=lambda value: ascii(value)[:30])
def test_refuses_hostile_values_with_a_short_message(parse: Callable[[object], object], value: object) -> None:
    with pytest.raises(GraphQLError) as refused:
        parse(value)
    message = refused.value.message
    assert len(message) < 250
    assert message.encode("utf-8"), "the message can be sent: no lone surrogate, nothing raw"
    assert "\x00" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "parse", [parse for parse in TEXT_PARSERS if parse is not parse_locale], ids=lambda p: p.__name__
)
@pytest.mark.parametrize("word", ["NaN", "Infinity", "null"])
def test_words_for_numbers_are_no_values(parse: Callable[[object], object], word: str) -> None:
    """A locale may look like them: languages have two to eight letters."""
    with pytest.raises(GraphQLError):
        parse(word)


@pytest.mark.parametrize(
    ("value", "quantity", "shown"),
    [
        (2, 2, 2),
        ("2", 2, 2),
        (2.0, 2, 2),
        ("2.000", 2, 2),
        (1.5, Fraction(3, 2), "1.5"),
        ("1.5", Fraction(3, 2), "1.5"),
        (0.001, Fraction(1, 1_000), "0.001"),
        (123_456.789, Fraction(123_456_789, 1_000), "123456.789"),
    ],
)
def test_quantities_are_exact(value: object, quantity: object, shown: object) -> None:
    read = parse_quantity(value)
    assert (read, type(read)) == (quantity, type(quantity))
    assert serialize_quantity(read) == shown


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        [],
        {},
        -1,
        -0.5,
        "-1",
        "",
        "1,5",
        "1.0001",
        1.0001,
        "NaN",
        float("nan"),
        float("inf"),
        1e-7,
        10**5_000,
    ],
    ids=lambda value: ascii(type(value).__name__) if isinstance(value, int) else ascii(value),
)
def test_refuses_quantities_that_are_none(value: object) -> None:
    with pytest.raises(GraphQLError, match="Quantity refuses") as refused:
        parse_quantity(value)
    assert len(refused.value.message) < 250
    for wrong in (True, 1.5, "2"):
        with pytest.raises(GraphQLError, match="cannot show"):
            serialize_quantity(wrong)


@pytest.mark.parametrize("value", [0, 1, -1, MAX, -MAX, 2**31, 2**32, -(2**40), 5.0, -0.0, float(MAX)])
def test_points_are_whole_numbers_that_json_keeps_exactly(value: float) -> None:
    """JSON has one kind of numbers: 5.0 is 5, and it comes in as a whole number."""
    assert parse_points(value) == value
    assert type(parse_points(value)) is int


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        1.5,
        0.5,
        float(MAX + 1),
        float("nan"),
        float("inf"),
        "5",
        "",
        None,
        [],
        {},
        [5],
        1e300,
        b"5",
        MAX + 1,
        -MAX - 1,
        10**4999,
    ],
    ids=lambda value: ascii(type(value).__name__) if isinstance(value, int) else ascii(value),
)
def test_refuses_points_that_are_not_whole_numbers_in_range(value: object) -> None:
    with pytest.raises(GraphQLError, match="Points refuses"):
        parse_points(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T09:30:00Z", dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)),
        ("2026-03-01t09:30:00z", dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)),
        ("2026-03-01T09:30:00+01:00", dt.datetime(2026, 3, 1, 8, 30, tzinfo=dt.UTC)),
        ("2026-03-01T09:30:00-00:00", dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)),
        ("2026-03-01T09:30:00.5Z", dt.datetime(2026, 3, 1, 9, 30, 0, 500_000, tzinfo=dt.UTC)),
        ("2026-03-01T09:30:00.123456789Z", dt.datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=dt.UTC)),
        ("2024-02-29T23:59:59+14:00", dt.datetime(2024, 2, 29, 9, 59, 59, tzinfo=dt.UTC)),
    ],
)
def test_reads_instants_with_an_offset_as_utc(text: str, expected: dt.datetime) -> None:
    assert parse_date_time(text) == expected
    assert parse_date_time(text).tzinfo is dt.UTC


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-03-01T09:30:00", "the offset is missing"),
        ("2026-03-01T09:30:00.5", "the offset is missing"),
        ("2026-03-01", "RFC 3339"),
        ("2026-03-01 09:30:00Z", "RFC 3339"),
        ("2026-03-01T09:30Z", "RFC 3339"),
        ("20260301T093000Z", "RFC 3339"),
        ("2026-W09-7T09:30:00Z", "RFC 3339"),
        ("2026-03-01T09:30:00+0100", "RFC 3339"),
        ("2026-03-01T09:30:00Z\n", "RFC 3339"),
        ("1772357400", "RFC 3339"),
        ("2026-02-29T00:00:00Z", "no such instant"),
        ("2026-03-01T24:00:00Z", "no such instant"),
        ("2026-03-01T09:30:60Z", "no such instant"),
        ("2026-13-01T09:30:00Z", "no such instant"),
        ("2026-03-01T09:30:00+24:00", "no such instant"),
        ("0000-01-01T00:00:00Z", "no such instant"),
        ("0001-01-01T00:00:00+14:00", "no such instant"),
        ("9999-12-31T23:59:59-14:00", "no such instant"),
        ("２０２６-03-01T09:30:00Z", "RFC 3339"),
    ],
)
def test_names_what_is_wrong_with_an_instant(text: str, problem: str) -> None:
    with pytest.raises(GraphQLError, match=problem):
        parse_date_time(text)


def test_shows_instants_in_utc() -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))
    assert serialize_date_time(dt.datetime(2026, 3, 1, 9, 30, tzinfo=berlin)) == "2026-03-01T08:30:00Z"
    assert serialize_date_time(dt.datetime(2026, 3, 1, 9, 30, 0, 5, tzinfo=dt.UTC)) == "2026-03-01T09:30:00.000005Z"


@pytest.mark.parametrize("value", [dt.datetime(2026, 3, 1), "2026-03-01T00:00:00Z", None, dt.date(2026, 3, 1)])  # noqa: DTZ001
def test_showing_an_instant_without_a_zone_is_a_bug(value: object) -> None:
    with pytest.raises(GraphQLError):
        serialize_date_time(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-02-30", "no such day"),
        ("2026-00-10", "no such day"),
        ("0000-01-01", "no such day"),
        ("2026-3-1", "write a day"),
        ("20260301", "write a day"),
        ("2026-W09-7", "write a day"),
        ("2026-03-01T00:00:00Z", "write a day"),
        ("01.03.2026", "write a day"),
        ("٢٠٢٦-03-01", "write a day"),
    ],
)
def test_names_what_is_wrong_with_a_day(text: str, problem: str) -> None:
    with pytest.raises(GraphQLError, match=problem):
        parse_date(text)


def test_reads_and_shows_days() -> None:
    assert parse_date("2026-03-01") == dt.date(2026, 3, 1)
    assert serialize_date(dt.date(2026, 3, 1)) == "2026-03-01"
    with pytest.raises(GraphQLError):
        serialize_date(dt.datetime(2026, 3, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize("text", ["PT3H", "P12M", "P1Y2M3W4DT5H6M7S", "PT0S", "P30D", "PT90M", "P99999D"])
def test_reads_durations(text: str) -> None:
    assert parse_duration(text) == text


@pytest.mark.parametrize(
    "text", ["P", "PT", "P1DT", "3H", "-PT3H", "PT-3H", "PT1.5H", "pt3h", "P1H", "PT1D", "P1D ", "P100000D", "P١D"]
)
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(GraphQLError, match="ISO 8601"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "12.30", "-12.30", "0.5", "1000000", "-0", "9" * MAX_DECIMAL_LENGTH])
def test_reads_decimals_exactly_as_sent(text: str) -> None:
    assert parse_decimal(text) == text


@pytest.mark.parametrize(
    "text",
    ["1e3", "1E3", "1_000", "1,000", "1,50", "+1", ".5", "5.", "007", "--1", "0x10", "-", "1 ", " 1", "1\n", "NaN",
     "-Infinity", "１.５", "1٫5", "½", "²", "1.2.3", "9" * (MAX_DECIMAL_LENGTH + 1)],
)  # fmt: skip
def test_refuses_what_is_no_plain_decimal(text: str) -> None:
    with pytest.raises(GraphQLError, match="Decimal refuses"):
        parse_decimal(text)


@pytest.mark.parametrize("text", ["EUR", "USD", "JPY", "KWD"])
def test_reads_currencies(text: str) -> None:
    assert parse_currency_code(text) == text


@pytest.mark.parametrize("text", ["eur", "EURO", "XXY", "DEM", "€", "ＥＵＲ"])
def test_refuses_what_is_no_active_currency(text: str) -> None:
    with pytest.raises(GraphQLError, match="CurrencyCode refuses"):
        parse_currency_code(text)


@pytest.mark.parametrize("text", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_reads_time_zones(text: str) -> None:
    assert parse_time_zone(text) == text


@pytest.mark.parametrize(
    "text", ["Berlin", "europe/berlin", "Europe/", "/etc/localtime", "localtime", "GMT+25", "Mars/Olympus"]
)
def test_refuses_what_is_no_time_zone(text: str) -> None:
    with pytest.raises(GraphQLError, match="TimeZone refuses"):
        parse_time_zone(text)


@pytest.mark.parametrize("text", ["de", "de-AT", "zh-Hant-TW", "en-US", "es-419", "de_AT", "DE_at.UTF-8"])
def test_reads_locales(text: str) -> None:
    assert parse_locale(text) == text


@pytest.mark.parametrize("text", ["d", "de_", "de-", "-de", "deutsch-land-und-mehr-", "123", "_"])
def test_refuses_what_is_no_locale(text: str) -> None:
    with pytest.raises(GraphQLError, match="Locale refuses"):
        parse_locale(text)


@pytest.mark.parametrize(("text", "expected"), [("#ffd700", "#FFD700"), ("#000000", "#000000"), ("#AbCdEf", "#ABCDEF")])
def test_reads_colours_in_capitals(text: str, expected: str) -> None:
    assert parse_color(text) == expected


@pytest.mark.parametrize("text", ["ffd700", "#fff", "#ffd7000", "#ffd70g", "red", "#ffd700;", "#ffd700\n", "＃ffd700"])
def test_refuses_what_is_no_colour(text: str) -> None:
    with pytest.raises(GraphQLError, match="Color refuses"):
        parse_color(text)


@pytest.mark.parametrize("text", ["MjAyNg", "a" * MAX_CURSOR_LENGTH, "a-b_c=", "a+b/c"])
def test_reads_cursors(text: str) -> None:
    assert parse_cursor(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a\x00", "ä", "a" * (MAX_CURSOR_LENGTH + 1), "<script>", "a\n"])
def test_refuses_what_cannot_be_a_cursor(text: str) -> None:
    with pytest.raises(GraphQLError, match="Cursor refuses"):
        parse_cursor(text)


@strawberry.type
class Query:
    @strawberry.field
    def points(self, value: Points) -> Points:
        return value

    @strawberry.field
    def decimal(self, value: Decimal) -> Decimal:
        return value

    @strawberry.field
    def at(self, value: dt.datetime) -> dt.datetime:
        return value

    @strawberry.field
    def day(self, value: dt.date) -> dt.date:
        return value

    @strawberry.field
    def rest(
        self,
        duration: Duration,
        currency: CurrencyCode,
        zone: TimeZone,
        locale: Locale,
        color: Color,
        cursor: Cursor | None = None,
    ) -> str:
        return f"{duration} {currency} {zone} {locale} {color} {cursor}"

    @strawberry.field
    def beyond(self) -> Points:
        return Points(MAX + 1)


SCHEMA = build_schema(Query)


async def answer(query: str, **variables: object) -> tuple[Any, list[str]]:
    result = await SCHEMA.execute(query, variable_values=dict(variables))
    codes = [str((error.extensions or {}).get("code")) for error in result.errors or []]
    return result.data, codes


async def test_points_beyond_32_bits_go_in_and_come_out() -> None:
    assert await answer(f"{{ points(value: {MAX}) }}") == ({"points": MAX}, [])
    assert await answer("query ($p: Points!) { points(value: $p) }", p=-MAX) == ({"points": -MAX}, [])


@pytest.mark.parametrize(("literal", "points"), [("5.0", 5), ("-5.000", -5), ("0.0", 0)])
async def test_zeros_behind_the_point_of_points_say_nothing(literal: str, points: int) -> None:
    assert await answer(f"{{ points(value: {literal}) }}") == ({"points": points}, [])


@pytest.mark.parametrize(
    "literal", ['"5"', "5.5", "5e3", "5.0e3", "true", "FIVE", "[5]", "{a: 5}", "null", "9" * 5_000, "-9" + "9" * 16]
)
async def test_point_literals_are_as_strict_as_variables(literal: str) -> None:
    data, codes = await answer(f"{{ points(value: {literal}) }}")
    assert data is None
    assert codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("literal", ["12.30", "12", "true", "EUR", "[1]", '"1e5"', '"１"'])
async def test_decimal_literals_are_strings_of_plain_digits(literal: str) -> None:
    data, codes = await answer(f"{{ decimal(value: {literal}) }}")
    assert data is None
    assert codes == ["BAD_USER_INPUT"]


async def test_enum_like_literals_are_no_texts() -> None:
    """`currency: EUR` without quotes would otherwise be read as a text."""
    data, codes = await answer('{ rest(currency: EUR, duration: "PT1H", zone: "UTC", locale: "de", color: "#000000") }')
    assert data is None
    assert codes == ["BAD_USER_INPUT"]


async def test_a_result_outside_the_scalar_is_our_bug() -> None:
    data, codes = await answer("{ beyond }")
    assert data is None
    assert codes == ["INTERNAL"]


async def test_all_scalars_pass_through_the_schema() -> None:
    data, codes = await answer(
        """query ($at: DateTime!, $day: Date!, $amount: Decimal!) {
            at(value: $at) day(value: $day) decimal(value: $amount)
            rest(duration: "P1M", currency: "USD", zone: "Europe/Berlin", locale: "en", color: "#abcdef", cursor: "x")
        }""",
        at="2026-03-01T09:30:00+01:00",
        day="2026-03-01",
        amount="12.30",
    )
    assert codes == []
    assert data == {
        "at": "2026-03-01T08:30:00Z",
        "day": "2026-03-01",
        "decimal": "12.30",
        "rest": "P1M USD Europe/Berlin en #ABCDEF x",
    }


@pytest.mark.parametrize("definition", list(SCALARS.values()), ids=lambda definition: str(definition.name))
def test_every_scalar_is_described(definition: Any) -> None:
    assert definition.description
    assert definition.description.endswith(".")


def test_the_contract_has_these_scalars() -> None:
    assert sorted(definition.name for definition in SCALARS.values()) == [
        "Color", "CurrencyCode", "Cursor", "Date", "DateTime", "Decimal", "Duration", "Locale", "Points",
        "Quantity", "TimeZone",
    ]  # fmt: skip
