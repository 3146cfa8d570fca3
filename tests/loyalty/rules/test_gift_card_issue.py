from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from loyalty.rules.errors import CurrencyMismatch, InvalidInput
from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.gift_card_issue import CardWorth, choose_worth, find_issue_problems, refuse_other_currencies
from loyalty.rules.gift_card_product import GiftCardProduct, Validity, ValidityKind
from loyalty.rules.ids import GiftCardProductId
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
FACE, PRICE = Money(5_000, "EUR"), Money(4_500, "EUR")
FOREVER = GiftCardProduct(
    GiftCardProductId(UUID(int=1)), "Voucher", Money(2_500, "EUR"), validity=Validity(ValidityKind.NONE)
)
YEAR = replace(FOREVER, validity=Validity(years=1))
MONEY, GOODWILL, POINTS = GiftCardOrigin.MONEY, GiftCardOrigin.GOODWILL, GiftCardOrigin.POINTS


@pytest.mark.parametrize(
    ("origin", "face", "price", "has_product", "paths"),
    [
        (MONEY, FACE, None, False, []),
        (MONEY, FACE, PRICE, False, []),
        (MONEY, None, Money(0, "EUR"), True, []),
        (GOODWILL, None, None, True, []),
        (POINTS, FACE, None, False, [("origin",)]),
        (MONEY, None, None, False, [("amount",)]),
        (MONEY, FACE, None, True, [("amount",)]),
        (MONEY, Money(0, "EUR"), None, False, [("amount", "amount")]),
        (GOODWILL, FACE, PRICE, False, [("price",)]),
        (MONEY, FACE, Money(-1, "EUR"), False, [("price", "amount")]),
        (MONEY, FACE, Money(MAX_AMOUNT_MINOR + 1, "EUR"), False, [("price", "amount")]),
        # All of them, in the order of the fields.
        (
            POINTS,
            Money(0, "EUR"),
            Money(-1, "EUR"),
            True,
            [("origin",), ("amount",), ("amount", "amount"), ("price",), ("price", "amount")],
        ),
    ],
)
def test_a_card_says_what_it_is_worth_and_what_was_paid_for_it(
    origin: GiftCardOrigin, face: Money | None, price: Money | None, *, has_product: bool, paths: list[tuple[str, ...]]
) -> None:
    found = find_issue_problems(origin, face, price, has_product=has_product)
    assert [problem.path for problem in found] == paths


def test_amounts_are_in_the_currency_of_the_program() -> None:
    refuse_other_currencies("EUR", {"amount": FACE, "price": None})
    for field in ("amount", "price"):
        with pytest.raises(CurrencyMismatch) as refused:
            refuse_other_currencies("EUR", {"amount": FACE, "price": PRICE} | {field: Money(1, "CHF")})
        assert refused.value.path == (field, "currency")


@pytest.mark.parametrize(
    ("face", "product", "last_day", "worth", "expires_at"),
    [
        # Without a product: until the end of the third year after the year of issue.
        (FACE, None, None, FACE, "2029-12-31T23:00:00Z"),
        (FACE, None, date(2026, 7, 1), FACE, "2026-07-01T22:00:00Z"),
        (None, FOREVER, None, FOREVER.face, None),
        (None, YEAR, None, FOREVER.face, "2027-12-31T23:00:00Z"),
        # The caller's day is taken before that of the product.
        (None, YEAR, date(2026, 12, 24), FOREVER.face, "2026-12-24T23:00:00Z"),
        (None, FOREVER, date(2026, 12, 24), FOREVER.face, "2026-12-24T23:00:00Z"),
    ],
)
def test_a_product_or_the_caller_says_what_a_card_is_worth(
    face: Money | None, product: GiftCardProduct | None, last_day: date | None, worth: Money, expires_at: str | None
) -> None:
    expiry = None if expires_at is None else datetime.fromisoformat(expires_at)
    assert choose_worth(face, product, last_day, NOON, BERLIN) == CardWorth(worth, expiry)


@pytest.mark.parametrize(
    ("face", "last_day", "path"), [(None, None, "amount"), (FACE, date(2026, 6, 30), "expires_on")]
)
def test_no_card_without_worth_or_for_a_day_that_is_over(face: Money | None, last_day: date | None, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        choose_worth(face, None, last_day, NOON, BERLIN)
    assert [problem.path for problem in refused.value.problems] == [(path,)]
