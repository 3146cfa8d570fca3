"""Decisions on a refund: how much money goes back, and the state of the purchase after it.

Each function takes the known purchase and the request, and returns a decision. The ledger books it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import AccrualStep
from loyalty.rules.errors import CurrencyMismatch, NotFound
from loyalty.rules.exchange import Exchange, convert_minor
from loyalty.rules.purchase import CALLED_OFF, PurchaseStatus
from loyalty.rules.refund import (
    Refund,
    Refundable,
    build_refusal_after_full_refund,
    find_lines,
    lines_money,
    subtract_refunds,
    validate_refund,
)


class DecidedRefund(NamedTuple):
    """A refund to be booked. `is_whole` says that nothing is left of the purchase; `status` is the status after it.

    `refund` has the positions of its lines and its money. `lines_minor` is the money that each of its lines pays back.
    """

    refund: Refund
    money_minor: int
    lines_minor: tuple[int, ...]
    is_whole: bool
    status: PurchaseStatus


def find_lines_to_refund(purchase: Refundable, status: PurchaseStatus, asked: Refund) -> Refund:
    """Return the refund with the positions of its lines, before earlier refunds are read.

    Raises InvalidInput for lines that do not exist, and RefundExceedsPurchase after a refund of everything.
    """
    refund = find_lines(purchase, asked)
    if status is PurchaseStatus.REFUNDED:
        raise build_refusal_after_full_refund(purchase, refund)
    return refund


def decide_refund(
    purchase: Refundable, status: PurchaseStatus, before: Sequence[Refund], refund: Refund
) -> DecidedRefund:
    """Decide a refund whose lines are found. ``before`` are the earlier refunds of the purchase, in their order.

    A purchase with nothing left becomes REFUNDED, unless it was called off. Raises InvalidInput for an empty refund,
    and RefundExceedsPurchase if less is left.
    """
    money_minor = validate_refund(purchase, before, refund)
    lines_minor = tuple(lines_money(purchase, before, refund))
    refund = replace(refund, money_minor=money_minor)
    is_whole = not subtract_refunds(purchase, [*before, refund]).whole
    after = PurchaseStatus.REFUNDED if is_whole and status not in CALLED_OFF else status
    return DecidedRefund(refund, money_minor, lines_minor, is_whole, after)


def convert_refund(asked: Refund, sent: str | None, currency: str, told: Exchange | None) -> Refund:
    """Return a refund in the currency of its purchase. ``sent`` is the currency of its amounts, None for the same one.

    Amounts in the currency of the report are converted by its rate. ``told`` is the exchange of the purchase, if it was
    reported in another currency. Raises CurrencyMismatch for any other currency.
    """
    if sent is None or sent == currency:
        return asked
    if told is None or sent != told.currency:
        raise CurrencyMismatch(currency, sent, ("amount", "currency"))

    def convert(amount_minor: int) -> int:
        return convert_minor(amount_minor, told.rate, told.currency, currency)

    lines = tuple(replace(line, amount_minor=convert(line.amount_minor)) for line in asked.lines)
    return Refund(lines, convert(asked.amount_minor))


def decide_maturing(state: AccrualState) -> AccrualStep:
    """Decide what `purchaseMature` does to an accrual in this state.

    Pending points mature; other points stay as they are. Raises NotFound for an accrual that was voided.
    """
    if state is AccrualState.VOIDED:
        raise NotFound("accrual", ("purchase",))
    return AccrualStep.MATURE if state is AccrualState.PENDING else AccrualStep.NOTHING
