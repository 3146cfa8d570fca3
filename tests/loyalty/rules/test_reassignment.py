from uuid import UUID

import pytest

from loyalty.rules.accrual import AccrualState
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId
from loyalty.rules.points_paid import PointsPaid
from loyalty.rules.purchase_errors import PurchaseNotReassignable
from loyalty.rules.reassignment import (
    LifeAtTarget,
    ReassignmentObstacle,
    decide_life_at_target,
    refuse_reassignment,
    refuse_same_customer,
)

SOURCE, TARGET = CustomerId(UUID(int=1)), CustomerId(UUID(int=2))
NOTHING, SOME = PointsPaid(), PointsPaid(1, 1)


@pytest.mark.parametrize(
    ("state", "life"),
    [
        # Not evaluated yet: it goes on as it was.
        (None, LifeAtTarget(3, None)),
        (AccrualState.PENDING, LifeAtTarget(4, AccrualState.PENDING)),
        (AccrualState.AVAILABLE, LifeAtTarget(4, AccrualState.AVAILABLE)),
        (AccrualState.PARTIALLY_REVERSED, LifeAtTarget(4, AccrualState.AVAILABLE)),
        # Nothing is left of it: the life ends with the source, and the target gets nothing.
        (AccrualState.VOIDED, LifeAtTarget(4, None)),
        (AccrualState.REVERSED, LifeAtTarget(4, None)),
        (AccrualState.EVALUATED, LifeAtTarget(4, None)),
    ],
)
def test_a_purchase_begins_a_new_life_with_what_it_had_earned(state: AccrualState | None, life: LifeAtTarget) -> None:
    assert decide_life_at_target(3, state) == life


def test_a_purchase_does_not_move_to_its_own_customer() -> None:
    refuse_same_customer(SOURCE, TARGET)
    with pytest.raises(InvalidInput):
        refuse_same_customer(SOURCE, SOURCE)


@pytest.mark.parametrize(
    ("is_refunded", "held", "spent", "obstacle"),
    [
        (True, SOME, SOME, ReassignmentObstacle.REFUNDED),
        (False, SOME, SOME, ReassignmentObstacle.POINTS_HELD),
        (False, NOTHING, SOME, ReassignmentObstacle.PAID_WITH_POINTS),
    ],
)
def test_the_first_obstacle_is_named(
    *, is_refunded: bool, held: PointsPaid, spent: PointsPaid, obstacle: ReassignmentObstacle
) -> None:
    refuse_reassignment(is_refunded=False, held=NOTHING, spent=NOTHING)
    with pytest.raises(PurchaseNotReassignable) as raised:
        refuse_reassignment(is_refunded=is_refunded, held=held, spent=spent)
    assert obstacle.description in str(raised.value)
