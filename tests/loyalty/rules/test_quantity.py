"""Quantities are exact: whole numbers stay whole numbers, decimals have at most three places."""

from fractions import Fraction

import pytest

from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.quantity import (
    Quantity,
    format_quantity,
    parse_quantity,
    quantity_document,
    quantity_from_document,
    scale_quantity,
    simplify_quantity,
)


@pytest.mark.parametrize(
    ("text", "quantity", "shown"),
    [
        ("0", 0, "0"),
        ("2", 2, "2"),
        ("2.000", 2, "2"),
        ("1.5", Fraction(3, 2), "1.5"),
        ("1.50000", Fraction(3, 2), "1.5"),
        ("0.001", Fraction(1, 1_000), "0.001"),
        ("10.05", Fraction(201, 20), "10.05"),
        ("999999999.999", Fraction(999_999_999_999, 1_000), "999999999.999"),
    ],
)
def test_a_decimal_text_is_read_exactly(text: str, quantity: Quantity, shown: str) -> None:
    read = parse_quantity(text)
    assert read is not None
    assert (read, type(read), format_quantity(read)) == (quantity, type(quantity), shown)
    assert quantity_from_document(quantity_document(read)) == quantity


@pytest.mark.parametrize(
    "text", ["", "1.0001", "-1", "+1", ".5", "1.", "1e3", "NaN", "1_0", "\uff11", "1,5", "9999999999", "0.0000000001"]
)
def test_an_invalid_quantity_is_refused(text: str) -> None:
    assert parse_quantity(text) is None


def test_whole_quantities_are_stored_as_they_always_were() -> None:
    assert quantity_document(2) == 2
    assert quantity_document(simplify_quantity(Fraction(4, 2))) == 2
    assert quantity_document(Fraction(3, 2)) == "1.5"
    with pytest.raises(ValueError, match="no quantity"):
        quantity_from_document("one")
    with pytest.raises(ValueError, match="decimals"):
        scale_quantity(Fraction(1, 3))


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [(2, 333, 666), (Fraction(3, 2), 3_333, 5_000), (Fraction(1, 1_000), 499, 0), (Fraction(1, 1_000), 500, 1)],
)
def test_the_price_of_a_fraction_is_rounded_to_the_nearest_cent(quantity: Quantity, price: int, amount: int) -> None:
    assert PurchaseLine("hour", None, quantity, price).amount_minor == amount
