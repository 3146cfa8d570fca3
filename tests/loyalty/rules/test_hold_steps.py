from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from loyalty.rules.errors import (
    AboveMaximum,
    HoldEnded,
    NotFound,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
    Refused,
    ReturnExceedsRedemption,
)
from loyalty.rules.hold_steps import (
    PointsHold,
    PurchaseToPay,
    capture_points,
    must_release,
    refuse_payer,
    refuse_to_replace,
    return_points,
)
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money
from loyalty.rules.points_paid import ActiveHold, DiscountTerms, LiveRedemption, PointsPaid, point_value
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.redemption import HoldState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ANNA, BEN = (CustomerId(UUID(int=number)) for number in (1, 2))
NO_LIMIT = DiscountTerms()
# 100 points are worth 1.00: 500 points take 5.00 off, at most half of a purchase.
LEFT = ActiveHold(UUID(int=9), 500, 500, point_value(100, 100, "EUR"), DiscountTerms(percent=50))
HOLD = PointsHold(ANNA, HoldState.ACTIVE, NOON + timedelta(microseconds=1), 500, LEFT)
LOWERED = HOLD._replace(points=800)
PURCHASE = PurchaseToPay(frozenset({ANNA}), PurchaseStatus.CONFIRMED, Money(1_000, "EUR"), PointsPaid())
NOT_RECORDED = PurchaseToPay(frozenset({ANNA}), None, None, PointsPaid())


@pytest.mark.parametrize("status", [None, *(status for status in PurchaseStatus if status not in ENDED)])
@pytest.mark.parametrize("owners", [frozenset[CustomerId](), frozenset({ANNA})])
def test_a_customer_pays_for_an_own_purchase_that_is_not_over(
    status: PurchaseStatus | None, owners: frozenset[CustomerId]
) -> None:
    refuse_payer(PURCHASE._replace(status=status, owner_ids=owners), ANNA)


@pytest.mark.parametrize("owners", [frozenset({BEN}), frozenset({ANNA, BEN})])
def test_points_of_one_customer_do_not_pay_for_the_purchase_of_another(owners: frozenset[CustomerId]) -> None:
    ended = PURCHASE._replace(owner_ids=owners, status=PurchaseStatus.CANCELLED)
    with pytest.raises(PurchaseOfAnotherCustomer) as refusal:
        refuse_payer(ended, ANNA, ("hold",))
    assert refusal.value.path == ("hold",)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_points_do_not_pay_for_a_purchase_that_is_over(status: PurchaseStatus) -> None:
    with pytest.raises(PurchaseEnded):
        refuse_payer(PURCHASE._replace(status=status), ANNA)


def test_an_active_hold_of_the_customer_is_replaced() -> None:
    refuse_to_replace(HOLD, ANNA)


@pytest.mark.parametrize(
    ("hold", "customer_id", "refusal"),
    [
        # The owner is looked at first: nobody learns how the hold of another customer ended.
        (HOLD, BEN, NotFound),
        (HOLD._replace(state=HoldState.RELEASED), BEN, NotFound),
        *((HOLD._replace(state=state), ANNA, HoldEnded) for state in HoldState if state is not HoldState.ACTIVE),
    ],
)
def test_no_other_hold_is_replaced(hold: PointsHold, customer_id: CustomerId, refusal: type[Exception]) -> None:
    with pytest.raises(refusal) as refused:
        refuse_to_replace(hold, customer_id)
    assert refused.value.path == ("replaces",)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("state", "must"), [(HoldState.ACTIVE, True), (HoldState.RELEASED, False), (HoldState.EXPIRED, False)]
)
def test_only_an_active_hold_has_to_be_released(state: HoldState, *, must: bool) -> None:
    assert must_release(state) is must


def test_a_captured_hold_cannot_be_released() -> None:
    with pytest.raises(HoldEnded):
        must_release(HoldState.CAPTURED)


@pytest.mark.parametrize(
    ("hold", "wanted", "purchase", "points"),
    [
        (HOLD, None, PURCHASE, 500),
        (HOLD, 500, PURCHASE, 500),
        (HOLD, 1, PURCHASE, 1),
        (LOWERED, 500, PURCHASE, 500),
        # Before the purchase is recorded nobody knows its total, and its terms cannot be checked.
        (HOLD, None, NOT_RECORDED, 500),
        # Amounts in another currency are not compared.
        (HOLD, None, PURCHASE._replace(left=Money(1, "CHF")), 500),
        # 3.00 of the 5.00 that points may take off are paid by others: 2.00 are left for the hold.
        (HOLD, 200, PURCHASE._replace(paid=PointsPaid(300, 300)), 200),
    ],
)
def test_held_points_are_spent(hold: PointsHold, wanted: int | None, purchase: PurchaseToPay, points: int) -> None:
    assert capture_points(hold, wanted, purchase, NOON) == points


FOREIGN = PURCHASE._replace(owner_ids=frozenset({BEN}), status=PurchaseStatus.REFUNDED)


@pytest.mark.parametrize(
    ("hold", "wanted", "purchase", "refusal", "maximum"),
    [
        # Each refusal before the one that stands below it.
        *(
            (HOLD._replace(state=state, expires_at=NOON), 501, FOREIGN, HoldEnded, None)
            for state in HoldState
            if state is not HoldState.ACTIVE
        ),
        (HOLD._replace(expires_at=NOON), 501, FOREIGN, HoldEnded, None),
        (HOLD, 501, FOREIGN, PurchaseOfAnotherCustomer, None),
        (HOLD, 501, PURCHASE._replace(status=PurchaseStatus.REFUNDED), PurchaseEnded, None),
        (HOLD, 501, PURCHASE._replace(left=Money(1, "EUR")), AboveMaximum, 500),
        # A hold that was lowered is captured with the number of points that the caller knows.
        (LOWERED, None, PURCHASE, AboveMaximum, 500),
        # Half of 9.98, and half of 10.00 less what pays already.
        (HOLD, None, PURCHASE._replace(left=Money(998, "EUR")), AboveMaximum, 499),
        (HOLD, 201, PURCHASE._replace(paid=PointsPaid(300, 300)), AboveMaximum, 200),
    ],
)
def test_held_points_are_not_spent(
    hold: PointsHold, wanted: int | None, purchase: PurchaseToPay, refusal: type[Refused], maximum: int | None
) -> None:
    with pytest.raises(refusal) as refused:
        capture_points(hold, wanted, purchase, NOON)
    assert getattr(refused.value, "maximum", None) == maximum
    if refusal is not AboveMaximum:
        assert refused.value.path == ("hold",)


@pytest.mark.parametrize(("wanted", "points"), [(None, 300), (300, 300), (1, 1)])
def test_spent_points_come_back(wanted: int | None, points: int) -> None:
    assert return_points(LiveRedemption(UUID(int=7), 500, 200, 500), wanted) == points


@pytest.mark.parametrize(("returned", "wanted"), [(200, 0), (200, -1), (200, 301), (500, None), (500, 1)])
def test_more_than_was_spent_does_not_come_back(returned: int, wanted: int | None) -> None:
    with pytest.raises(ReturnExceedsRedemption) as refused:
        return_points(LiveRedemption(UUID(int=7), 500, returned, 500), wanted)
    assert refused.value.returnable == 500 - returned


@pytest.mark.parametrize(
    ("points", "discount_minor"),
    # All of a hold keeps its discount; a part is worth what the value says, rounded down.
    [(10, 4), (9, 3), (3, 1), (2, 0), (0, 0)],
)
def test_a_part_of_a_hold_keeps_its_part_of_the_discount(points: int, discount_minor: int) -> None:
    hold = ActiveHold(UUID(int=9), 10, 4, point_value(3, 1, "EUR"), NO_LIMIT)
    assert hold.keep(points) == replace(hold, points=points, discount_minor=discount_minor)
