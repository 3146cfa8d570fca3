import pytest

from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import AccrualStep
from loyalty.rules.errors import CurrencyMismatch, InvalidInput, NotFound, RefundExceedsPurchase
from loyalty.rules.exchange import Exchange
from loyalty.rules.money import Money, Ratio
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.rules.refund import BY_LINE_ID, LineRefund, Refund, Refundable
from loyalty.rules.refund_steps import (
    DecidedRefund,
    convert_refund,
    decide_maturing,
    decide_refund,
    find_lines_to_refund,
)

# Two towels for 15.00 each and a cut for 20.00.
LINES = (
    PurchaseLine("towel", None, 2, 1_500, line_id="a"),
    PurchaseLine("cut", None, 1, 2_000, line_id="b"),
)
VISIT = Refundable(5_000, LINES, "EUR")
FREE = Refundable(0, (PurchaseLine("towel", None, 2, 0),), "EUR")
PAID, REFUNDED, CANCELLED = PurchaseStatus.PAID, PurchaseStatus.REFUNDED, PurchaseStatus.CANCELLED
ONE_TOWEL = Refund((LineRefund(0, quantity=1),))
FRANCS = Exchange("CHF", Ratio(1, 2), 10_000)


def recorded(amount_minor: int) -> Refund:
    """Return an earlier refund of money that belongs to no line."""
    return Refund(amount_minor=amount_minor, money_minor=amount_minor)


def decide(purchase: Refundable, status: PurchaseStatus, before: list[Refund], asked: Refund) -> DecidedRefund:
    """Decide a refund by both steps: earlier refunds are read in between."""
    return decide_refund(purchase, status, before, find_lines_to_refund(purchase, status, asked))


@pytest.mark.parametrize(
    ("purchase", "status", "before", "asked", "money_minor", "lines_minor", "after"),
    [
        # A part leaves the purchase as it is.
        (VISIT, PAID, [], ONE_TOWEL, 1_500, (1_500,), PAID),
        (VISIT, PAID, [], Refund((LineRefund(0, 2), LineRefund(1, amount_minor=500)), 100), 3_600, (3_000, 500), PAID),
        # A line is found by its id.
        (VISIT, PAID, [], Refund((LineRefund(BY_LINE_ID, 1, line_id="b"),)), 2_000, (2_000,), PAID),
        # One minor unit is left, or nothing.
        (VISIT, PAID, [], Refund(amount_minor=4_999), 4_999, (), PAID),
        (VISIT, PAID, [], Refund(amount_minor=5_000), 5_000, (), REFUNDED),
        (VISIT, PAID, [recorded(1)], Refund(amount_minor=4_999), 4_999, (), REFUNDED),
        (VISIT, PAID, [], Refund((LineRefund(0, 2), LineRefund(1, 1))), 5_000, (3_000, 2_000), REFUNDED),
        # A purchase that was called off stays so.
        (VISIT, CANCELLED, [], Refund(amount_minor=5_000), 5_000, (), CANCELLED),
        # Of a purchase that cost nothing, the units say what is left.
        (FREE, PAID, [], ONE_TOWEL, 0, (0,), PAID),
        (FREE, PAID, [], Refund((LineRefund(0, 2),)), 0, (0,), REFUNDED),
    ],
)
def test_a_refund_pays_back_money_and_the_purchase_is_refunded_once_nothing_is_left(
    purchase: Refundable,
    status: PurchaseStatus,
    before: list[Refund],
    asked: Refund,
    money_minor: int,
    lines_minor: tuple[int, ...],
    after: PurchaseStatus,
) -> None:
    decided = decide(purchase, status, before, asked)
    assert (decided.money_minor, decided.lines_minor, decided.status) == (money_minor, lines_minor, after)
    assert decided.refund.money_minor == money_minor
    assert all(line.position >= 0 for line in decided.refund.lines)
    assert decided.is_whole is (after is not PAID)


@pytest.mark.parametrize(
    ("status", "before", "asked", "refundable_minor", "requested_minor"),
    [
        (PAID, [], Refund(amount_minor=5_001), 5_000, 5_001),
        (PAID, [recorded(4_999)], Refund(amount_minor=2), 1, 2),
        (PAID, [Refund((LineRefund(0, 2),), money_minor=3_000)], ONE_TOWEL, 0, 1_500),
        # Nothing is left of what was refunded as a whole, whatever is asked for, also where no refund is known.
        (REFUNDED, [], Refund(amount_minor=1), 0, 1),
        (REFUNDED, [recorded(5_000)], ONE_TOWEL, 0, 1_500),
    ],
)
def test_no_refund_takes_more_than_is_left(
    status: PurchaseStatus, before: list[Refund], asked: Refund, refundable_minor: int, requested_minor: int
) -> None:
    with pytest.raises(RefundExceedsPurchase) as refusal:
        decide(VISIT, status, before, asked)
    assert refusal.value.refundable_amount == Money(refundable_minor, "EUR")
    assert refusal.value.requested_amount == Money(requested_minor, "EUR")


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (PAID, Refund()),
        (PAID, Refund((LineRefund(2, 1),))),
        (PAID, Refund((LineRefund(BY_LINE_ID, 1, line_id="c"),))),
        # The line is looked for first, so a wrong one is named also where nothing is left.
        (REFUNDED, Refund((LineRefund(BY_LINE_ID, 1, line_id="c"),))),
    ],
)
def test_a_refund_of_nothing_and_of_no_line_is_refused(status: PurchaseStatus, asked: Refund) -> None:
    with pytest.raises(InvalidInput):
        decide(VISIT, status, [], asked)


@pytest.mark.parametrize(
    ("sent", "told", "amount_minor", "line_minor"),
    [
        (None, None, 101, 301),
        ("EUR", None, 101, 301),
        # The currency of the purchase stays as it is, also where it was told in another one.
        ("EUR", FRANCS, 101, 301),
        ("CHF", FRANCS, 51, 151),
    ],
)
def test_amounts_are_converted_by_the_rate_of_the_report(
    sent: str | None, told: Exchange | None, amount_minor: int, line_minor: int
) -> None:
    asked = Refund((LineRefund(1, 1, 301), LineRefund(0, 1)), 101)
    converted = convert_refund(asked, sent, "EUR", told)
    assert converted == Refund((LineRefund(1, 1, line_minor), LineRefund(0, 1)), amount_minor)


@pytest.mark.parametrize(("sent", "told"), [("CHF", None), ("USD", FRANCS)])
def test_no_other_currency_is_taken(sent: str, told: Exchange | None) -> None:
    with pytest.raises(CurrencyMismatch) as refusal:
        convert_refund(Refund(amount_minor=1), sent, "EUR", told)
    assert refusal.value.path == ("amount", "currency")


@pytest.mark.parametrize("state", [state for state in AccrualState if state is not AccrualState.VOIDED])
def test_only_pending_points_mature_by_hand(state: AccrualState) -> None:
    expected = AccrualStep.MATURE if state is AccrualState.PENDING else AccrualStep.NOTHING
    assert decide_maturing(state) is expected


def test_points_that_were_called_off_before_they_came_are_not_found() -> None:
    with pytest.raises(NotFound):
        decide_maturing(AccrualState.VOIDED)
