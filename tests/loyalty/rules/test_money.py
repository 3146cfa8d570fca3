import pytest

from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import (
    MAX_AMOUNT_MINOR,
    MINOR_DIGITS,
    Money,
    PointValue,
    Ratio,
    format_amount,
    format_factor,
    is_currency,
    minor_digits,
    parse_amount,
    parse_factor,
    value_of,
)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.30", "EUR", 1230),
        ("12.3", "EUR", 1230),
        ("12", "EUR", 1200),
        ("0.01", "EUR", 1),
        ("-0.05", "EUR", -5),
        ("-0", "EUR", 0),
        ("007.50", "EUR", 750),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("0.0001", "CLF", 1),
        ("9999999999999.99", "EUR", MAX_AMOUNT_MINOR),
        ("-9999999999999.99", "EUR", -MAX_AMOUNT_MINOR),
    ],
)
def test_reads_amounts_in_minor_units(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        ".5",
        "5.",
        "1,50",
        "1_000",
        "1 000",
        " 1",
        "1\n",
        "1e3",
        "NaN",
        "Infinity",
        "0x10",
        "--1",
        "١٢",  # Arabic-Indic digits
        "１２",  # full-width digits
        "²",
        "1.2.3",
        "12.345",  # too many decimals for EUR
        "12.3001",
        "12.30" + "0" * 40,
        "10000000000000.00",  # 16 digits in cents
        "9999999999999999",
        "0" * 100,
        "9" * 5000,
    ],
)
def test_refuses_what_is_not_a_plain_amount(text: str) -> None:
    """F-19: no exponent, NaN, separators or foreign digits, and no more decimals than the currency has."""
    with pytest.raises(InvalidInput) as refusal:
        parse_amount(text, "EUR", ("total", "amount"))
    assert [problem.path for problem in refusal.value.problems] == [("total", "amount")]


def test_refuses_decimals_of_a_currency_that_has_none() -> None:
    with pytest.raises(InvalidInput, match="JPY has 0 decimals"):
        parse_amount("1.5", "JPY")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("10.0000", "EUR", 1_000),
        ("12.300", "EUR", 1_230),
        ("-12.3400", "EUR", -1_234),
        ("0.0000", "EUR", 0),
        ("1.0", "JPY", 1),
        ("1500.00", "JPY", 1_500),
        ("9999999999999.990000", "EUR", 999_999_999_999_999),
        ("1.23400000", "KWD", 1_234),
    ],
)
def test_zeros_at_the_end_of_an_amount_say_nothing(text: str, currency: str, minor: int) -> None:
    """Shops write 10.0000 for ten euros: it is exact, and nothing is rounded."""
    assert parse_amount(text, currency) == minor


def test_zeros_at_the_end_of_a_factor_say_nothing() -> None:
    assert parse_factor("1.500000") == Ratio(3, 2)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1230, "EUR", "12.30"),
        (5, "EUR", "0.05"),
        (-5, "EUR", "-0.05"),
        (0, "EUR", "0.00"),
        (500, "JPY", "500"),
        (-500, "JPY", "-500"),
        (1, "KWD", "0.001"),
        (12345, "CLF", "1.2345"),
    ],
)
def test_writes_amounts_with_all_decimals(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text


@pytest.mark.parametrize(("code", "digits"), [("EUR", 2), ("CHF", 2), ("JPY", 0), ("ISK", 0), ("TND", 3), ("UYW", 4)])
def test_knows_the_decimals_of_currencies(code: str, digits: int) -> None:
    """ISO 4217."""
    assert is_currency(code)
    assert minor_digits(code) == digits


@pytest.mark.parametrize("code", ["", "eur", "EURO", "XXX", "XAU", "XTS", "DEM", "HRK", "BTC", "€"])
def test_refuses_what_is_no_active_currency(code: str) -> None:
    assert not is_currency(code)
    with pytest.raises(InvalidInput) as refusal:
        minor_digits(code)
    assert refusal.value.path == ("currency",)


def test_has_every_currency_once() -> None:
    """ISO 4217 with its amendments to January 2026; a code that comes or goes is a change on purpose."""
    assert len(MINOR_DIGITS) == 164
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in MINOR_DIGITS)


@pytest.mark.parametrize(
    ("points", "per_points", "per_minor", "minor"),
    [
        pytest.param(100, 100, 100, 100, id="PB-10 100 points are 1.00 EUR"),
        pytest.param(250, 100, 100, 250, id="PB-10 250 points are 2.50 EUR"),
        pytest.param(1, 1, 1, 1, id="BK-72 1 point is 0.01 EUR"),
        pytest.param(1, 100, 100, 1, id="C-13 both spellings are one ratio"),
        pytest.param(99, 100, 10, 9, id="rounded down to the cent"),
        pytest.param(0, 100, 100, 0, id="nothing"),
    ],
)
def test_values_points(points: int, per_points: int, per_minor: int, minor: int) -> None:
    assert value_of(points, PointValue(per_points, Money(per_minor, "EUR"))) == Money(minor, "EUR")


@pytest.mark.parametrize(
    ("text", "factor", "shortest"),
    [
        ("1.5", Ratio(3, 2), "1.5"),
        ("1.50", Ratio(3, 2), "1.5"),
        ("2", Ratio(2, 1), "2"),
        ("10", Ratio(10, 1), "10"),
        ("1.0001", Ratio(10001, 10000), "1.0001"),
        ("0", Ratio(0, 1), "0"),
        ("-1.25", Ratio(-5, 4), "-1.25"),
    ],
)
def test_reads_and_writes_factors_exactly(text: str, factor: Ratio, shortest: str) -> None:
    assert parse_factor(text) == factor
    assert format_factor(factor) == shortest


@pytest.mark.parametrize("text", ["", "1.00001", "1,5", "1e1", "NaN", "³"])
def test_refuses_what_is_no_factor(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_factor(text, ("award", "multiplier", "factor"))
    assert refusal.value.path == ("award", "multiplier", "factor")


def test_keeps_ratios_in_lowest_terms() -> None:
    assert Ratio(6, 4) == Ratio(3, 2)
    assert hash(Ratio(6, 4)) == hash(Ratio(3, 2))


def test_refuses_a_ratio_without_a_positive_denominator() -> None:
    with pytest.raises(ValueError, match="positive"):
        Ratio(1, 0)


def test_refuses_to_write_a_ratio_that_has_no_end() -> None:
    with pytest.raises(ValueError, match="1/3"):
        format_factor(Ratio(1, 3))
