from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.errors import (
    CurrencyMismatch,
    HoldEnded,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
    Refused,
)
from loyalty.rules.gift_card import CardAccount
from loyalty.rules.gift_card_errors import (
    GiftCardAbovePurchase,
    GiftCardBalanceTooLow,
    GiftCardEnded,
    ReturnExceedsSpending,
)
from loyalty.rules.gift_card_hold import (
    CardHold,
    MovedMoney,
    PayablePurchase,
    capture_money,
    count_payable,
    hold_money,
    return_money,
)
from loyalty.rules.money import Money
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.redemption import HoldState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
# 50.00, of which 20.00 are set aside.
CARD = CardAccount("EUR", balance_minor=5_000, held_minor=2_000, expires_at=NOON + INSTANT, sequence=1)
HOLD = CardHold(HoldState.ACTIVE, 2_000, expires_at=NOON + INSTANT)
CAPTURED = CardHold(HoldState.CAPTURED, 2_000, NOON, captured_minor=1_500, returned_minor=500)
PURCHASE = PayablePurchase(PurchaseStatus.CONFIRMED, Money(4_000, "EUR"), 1_000)


def euro(amount_minor: int) -> Money:
    """Return an amount in the currency of the card."""
    return Money(amount_minor, "EUR")


@pytest.mark.parametrize(
    ("account", "amount_minor", "purchase"),
    [
        # All that is free, to the last minor unit, until the last instant of the card.
        (CARD, 3_000, None),
        (replace(CARD, expires_at=None), 3_000, None),
        # As much as the purchase has left to pay.
        (CARD, 1_000, PURCHASE),
        (CARD, 3_000, PURCHASE._replace(left_minor=3_000)),
    ],
)
def test_a_hold_sets_money_aside(account: CardAccount, amount_minor: int, purchase: PayablePurchase | None) -> None:
    held = hold_money(account, euro(amount_minor), purchase, NOON)
    assert held == replace(account, held_minor=2_000 + amount_minor)


@pytest.mark.parametrize(
    ("account", "amount", "purchase", "refusal", "path"),
    [
        # Each refusal before the one that stands below it.
        (CARD, Money(9_000, "CHF"), PURCHASE._replace(is_foreign=True), CurrencyMismatch, ("amount", "currency")),
        (
            CARD,
            euro(9_000),
            PURCHASE._replace(is_foreign=True, status=PurchaseStatus.REFUNDED),
            PurchaseOfAnotherCustomer,
            ("purchase",),
        ),
        *(
            (CARD, euro(9_000), PayablePurchase(status, Money(4_000, "CHF"), 1_000), PurchaseEnded, ("purchase",))
            for status in sorted(ENDED)
        ),
        (CARD, euro(9_000), PURCHASE._replace(total=Money(4_000, "CHF")), CurrencyMismatch, ("amount", "currency")),
        (replace(CARD, expires_at=NOON), euro(1_001), PURCHASE, GiftCardAbovePurchase, ("amount",)),
        (CARD, euro(1), PURCHASE._replace(left_minor=0), GiftCardAbovePurchase, ("amount",)),
        (replace(CARD, expires_at=NOON), euro(3_001), None, GiftCardEnded, ("gift_card",)),
        (replace(CARD, voided_at=NOON), euro(1), None, GiftCardEnded, ("gift_card",)),
        (CARD, euro(3_001), None, GiftCardBalanceTooLow, ("amount",)),
    ],
)
def test_a_hold_is_refused(
    account: CardAccount,
    amount: Money,
    purchase: PayablePurchase | None,
    refusal: type[Refused],
    path: tuple[str, ...],
) -> None:
    with pytest.raises(refusal) as raised:
        hold_money(account, amount, purchase, NOON)
    assert raised.value.path == path


def test_a_refusal_says_what_is_left_of_the_purchase_and_never_less_than_nothing() -> None:
    with pytest.raises(GiftCardAbovePurchase) as raised:
        hold_money(CARD, euro(1), PURCHASE._replace(left_minor=-5), NOON)
    assert (raised.value.total_amount, raised.value.available_amount) == (euro(4_000), euro(0))
    assert raised.value.required_amount == euro(1)


@pytest.mark.parametrize(
    ("account", "held_minor", "status", "payable_minor"),
    [
        (CARD, 0, None, 3_000),
        (CARD, 500, PurchaseStatus.CONFIRMED, 3_500),
        # What is set aside outlives the card.
        (replace(CARD, expires_at=NOON), 2_000, None, 2_000),
        (replace(CARD, balance_minor=2_000), 1, None, 1),
    ],
)
def test_a_card_can_pay_what_is_free_and_what_it_has_set_aside_for_the_purchase(
    account: CardAccount, held_minor: int, status: PurchaseStatus | None, payable_minor: int
) -> None:
    assert count_payable(account, held_minor, "EUR", status, NOON, ("card",)) == payable_minor


@pytest.mark.parametrize(
    ("account", "currency", "status", "refusal", "path"),
    [
        # Each refusal before the one that stands below it.
        *((CARD, "CHF", status, PurchaseEnded, ("purchase",)) for status in sorted(ENDED)),
        (replace(CARD, expires_at=NOON), "CHF", PurchaseStatus.CONFIRMED, CurrencyMismatch, ("card",)),
        (replace(CARD, expires_at=NOON, balance_minor=2_000), "EUR", None, GiftCardEnded, ("card",)),
        (replace(CARD, voided_at=NOON), "EUR", None, GiftCardEnded, ("card",)),
        (replace(CARD, balance_minor=2_000), "EUR", None, GiftCardBalanceTooLow, ("card",)),
    ],
)
def test_a_card_that_can_pay_nothing_says_why(
    account: CardAccount, currency: str, status: PurchaseStatus | None, refusal: type[Refused], path: tuple[str, ...]
) -> None:
    with pytest.raises(refusal) as raised:
        count_payable(account, 0, currency, status, NOON, ("card",))
    assert raised.value.path == path


@pytest.mark.parametrize(
    ("wanted", "purchase", "spent_minor"),
    [
        (None, None, 2_000),
        (euro(2_000), None, 2_000),
        (euro(1), None, 1),
        (euro(1_000), PURCHASE, 1_000),
        # A purchase in another currency limits nothing.
        (None, PURCHASE._replace(total=Money(4_000, "CHF")), 2_000),
        # Whose purchase it is was asked when the money was set aside.
        (euro(1), PURCHASE._replace(is_foreign=True), 1),
    ],
)
def test_a_capture_spends_held_money_and_frees_the_rest(
    wanted: Money | None, purchase: PayablePurchase | None, spent_minor: int
) -> None:
    after = replace(CARD, balance_minor=5_000 - spent_minor, held_minor=0, sequence=2)
    assert capture_money(CARD, HOLD, wanted, purchase, NOON) == MovedMoney(spent_minor, after)


def test_held_money_is_spent_also_after_the_card_has_expired() -> None:
    assert capture_money(replace(CARD, expires_at=NOON), HOLD, None, None, NOON).amount_minor == 2_000


@pytest.mark.parametrize(
    ("hold", "wanted", "purchase", "refusal", "path"),
    [
        (replace(HOLD, state=HoldState.RELEASED), Money(9, "CHF"), PURCHASE, HoldEnded, ("hold",)),
        (replace(HOLD, expires_at=NOON), Money(9, "CHF"), PURCHASE, HoldEnded, ("hold",)),
        (HOLD, Money(2_001, "CHF"), PURCHASE, CurrencyMismatch, ("amount", "currency")),
        (HOLD, euro(2_001), PURCHASE._replace(status=PurchaseStatus.NO_SHOW), GiftCardBalanceTooLow, ("amount",)),
        (HOLD, None, PURCHASE._replace(status=PurchaseStatus.NO_SHOW), PurchaseEnded, ("hold",)),
        (HOLD, euro(1_001), PURCHASE, GiftCardAbovePurchase, ("amount",)),
        (HOLD, None, PURCHASE._replace(left_minor=1_999), GiftCardAbovePurchase, ("amount",)),
    ],
)
def test_a_capture_is_refused(
    hold: CardHold,
    wanted: Money | None,
    purchase: PayablePurchase | None,
    refusal: type[Any],
    path: tuple[str, ...],
) -> None:
    with pytest.raises(refusal) as raised:
        capture_money(CARD, hold, wanted, purchase, NOON)
    assert raised.value.path == path


@pytest.mark.parametrize(("wanted", "back_minor"), [(None, 1_000), (euro(1_000), 1_000), (euro(1), 1)])
def test_spent_money_comes_back(wanted: Money | None, back_minor: int) -> None:
    after = replace(CARD, balance_minor=5_000 + back_minor, sequence=2)
    assert return_money(CARD, CAPTURED, wanted, NOON) == MovedMoney(back_minor, after)


@pytest.mark.parametrize(
    ("account", "hold", "wanted", "refusal", "path"),
    [
        (replace(CARD, expires_at=NOON), CAPTURED, Money(1_001, "CHF"), GiftCardEnded, ("hold",)),
        (CARD, CAPTURED, Money(1_001, "CHF"), CurrencyMismatch, ("amount", "currency")),
        (CARD, CAPTURED, euro(1_001), ReturnExceedsSpending, ("amount",)),
        # Nothing was spent, or all of it came back.
        (CARD, HOLD, None, ReturnExceedsSpending, ("amount",)),
        (CARD, replace(CAPTURED, returned_minor=1_500), None, ReturnExceedsSpending, ("amount",)),
    ],
)
def test_a_return_is_refused(
    account: CardAccount, hold: CardHold, wanted: Money | None, refusal: type[Refused], path: tuple[str, ...]
) -> None:
    with pytest.raises(refusal) as raised:
        return_money(account, hold, wanted, NOON)
    assert raised.value.path == path
