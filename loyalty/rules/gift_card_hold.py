"""Decisions on the money of a gift card at a checkout: to set it aside, spend it, free it or give it back.

Each function takes the numbers of a card and of a hold, and returns a decision. The ledger books it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.errors import CurrencyMismatch, PurchaseEnded, PurchaseOfAnotherCustomer
from loyalty.rules.gift_card import CardAccount, add_to_balance, free_held, refuse_ended, set_aside, spendable_minor
from loyalty.rules.gift_card_errors import GiftCardAbovePurchase, GiftCardBalanceTooLow, ReturnExceedsSpending
from loyalty.rules.hold_steps import refuse_ended_hold
from loyalty.rules.money import Money
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.redemption import HoldState


@dataclass(frozen=True, slots=True)
class CardHold:
    """The numbers of one hold of a card, in minor units of the card's currency.

    `amount_minor` was set aside until `expires_at`. Of that, `captured_minor` was spent. Of the spent money,
    `returned_minor` came back to the card.
    """

    state: HoldState
    amount_minor: int
    expires_at: datetime
    captured_minor: int = 0
    returned_minor: int = 0

    @property
    def returnable_minor(self) -> int:
        """The spent money that has not come back to the card yet."""
        return self.captured_minor - self.returned_minor


class PayablePurchase(NamedTuple):
    """A recorded purchase that a card pays for.

    `total` is the price of the purchase less its refunds. `left_minor` is the part of the total that is not paid yet;
    it is below zero if too much is paid. `is_foreign` says that the caller may not learn who the customer of the
    purchase is.
    """

    status: PurchaseStatus
    total: Money
    left_minor: int
    is_foreign: bool = False


class MovedMoney(NamedTuple):
    """The amount that moves, in minor units, and the account of the card after the movement."""

    amount_minor: int
    account: CardAccount


def count_payable(
    account: CardAccount,
    held_minor: int,
    currency: str,
    status: PurchaseStatus | None,
    at: datetime,
    path: tuple[str, ...],
) -> int:
    """Return how much a card can pay of a purchase: its spendable money, and its money held for this purchase.

    ``held_minor`` is the money held for this purchase. ``status`` is None if the purchase is not recorded. ``path``
    names the card in the input. Raises, in this order: PurchaseEnded, CurrencyMismatch, GiftCardEnded,
    GiftCardBalanceTooLow (the card can pay nothing).
    """
    if status in ENDED:
        raise PurchaseEnded(status, ("purchase",))
    if account.currency != currency:
        raise CurrencyMismatch(currency, account.currency, path)
    payable_minor = spendable_minor(account, at) + held_minor
    if not payable_minor:
        refuse_ended(account, at, path)
        raise GiftCardBalanceTooLow(Money(0, currency), Money(1, currency), path)
    return payable_minor


def hold_money(account: CardAccount, amount: Money, purchase: PayablePurchase | None, at: datetime) -> CardAccount:
    """Decide to set money of a card aside. ``purchase`` is None if the hold names none, or it is not recorded yet.

    The total of a purchase is unknown before the purchase is recorded; until then a card may pay any amount of it.
    Raises, in this order: CurrencyMismatch (of the card), PurchaseOfAnotherCustomer, PurchaseEnded, CurrencyMismatch
    (of the purchase), GiftCardAbovePurchase, GiftCardEnded, GiftCardBalanceTooLow.
    """
    _refuse_currency(account.currency, amount)
    if purchase is not None:
        if purchase.is_foreign:
            raise PurchaseOfAnotherCustomer(("purchase",))
        if purchase.status in ENDED:
            raise PurchaseEnded(purchase.status, ("purchase",))
        _refuse_currency(purchase.total.currency, amount)
        _refuse_above(purchase, amount)
    return set_aside(account, amount.amount_minor, at)


def capture_money(
    account: CardAccount, hold: CardHold, wanted: Money | None, purchase: PayablePurchase | None, at: datetime
) -> MovedMoney:
    """Decide to spend held money: ``wanted``, or all of it if ``wanted`` is None. Money that is not spent becomes free.

    A purchase in another currency sets no limit. Raises, in this order: HoldEnded, CurrencyMismatch,
    GiftCardBalanceTooLow (more than is held), PurchaseEnded, GiftCardAbovePurchase.
    """
    refuse_ended_hold(hold.state, hold.expires_at, at)
    amount = _choose_amount(account, wanted, hold.amount_minor)
    if amount.amount_minor > hold.amount_minor:
        raise GiftCardBalanceTooLow(Money(hold.amount_minor, account.currency), amount)
    if purchase is not None:
        if purchase.status in ENDED:
            raise PurchaseEnded(purchase.status, ("hold",))
        if amount.currency == purchase.total.currency:
            _refuse_above(purchase, amount)
    spent_minor = amount.amount_minor
    return MovedMoney(spent_minor, add_to_balance(free_held(account, hold.amount_minor), -spent_minor))


def return_money(account: CardAccount, hold: CardHold, wanted: Money | None, at: datetime) -> MovedMoney:
    """Decide to give spent money back to its card: ``wanted``, or all that can still come back if it is None.

    Raises, in this order: GiftCardEnded (the money would be lost at once), CurrencyMismatch, ReturnExceedsSpending.
    """
    refuse_ended(account, at, ("hold",))
    amount = _choose_amount(account, wanted, hold.returnable_minor)
    if not 1 <= amount.amount_minor <= hold.returnable_minor:
        raise ReturnExceedsSpending(Money(hold.returnable_minor, account.currency), amount)
    return MovedMoney(amount.amount_minor, add_to_balance(account, amount.amount_minor))


def _choose_amount(account: CardAccount, wanted: Money | None, whole_minor: int) -> Money:
    """Return ``wanted``, or the whole amount if it is None. Raises CurrencyMismatch."""
    if wanted is None:
        return Money(whole_minor, account.currency)
    _refuse_currency(account.currency, wanted)
    return wanted


def _refuse_currency(currency: str, amount: Money) -> None:
    """Raise CurrencyMismatch for an amount in another currency than this one."""
    if amount.currency != currency:
        raise CurrencyMismatch(currency, amount.currency, ("amount", "currency"))


def _refuse_above(purchase: PayablePurchase, amount: Money) -> None:
    """Raise GiftCardAbovePurchase for an amount above what is left to pay of the purchase."""
    if amount.amount_minor > purchase.left_minor:
        left = Money(max(0, purchase.left_minor), purchase.total.currency)
        raise GiftCardAbovePurchase(purchase.total, left, amount)
