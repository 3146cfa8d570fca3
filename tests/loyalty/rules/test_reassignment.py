from uuid import UUID

import pytest

from loyalty.rules.accrual import AccrualState
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId
from loyalty.rules.points_paid import PointsPaid
from loyalty.rules.purchase_errors import PurchaseNotReassignable
from loyalty.rules.reassignment import (
    MovedLife,
    ReassignmentObstacle,
    move_life,
    refuse_reassignment,
    refuse_same_customer,
)

SOURCE, TARGET = CustomerId(UUID(int=1)), CustomerId(UUID(int=2))
NOTHING, SOME = PointsPaid(), PointsPaid(1, 1)


@pytest.mark.parametrize(
    ("state", "life"),
    [
        # Not evaluated yet: it goes on as it was.
        (None, MovedLife(3, None)),
        (AccrualState.PENDING, MovedLife(4, AccrualState.PENDING)),
        (AccrualState.AVAILABLE, MovedLife(4, AccrualState.AVAILABLE)),
        (AccrualState.PARTIALLY_REVERSED, MovedLife(4, AccrualState.AVAILABLE)),
        # Nothing is left of it: the life ends with the source, and the target gets nothing.
        (AccrualState.VOIDED, MovedLife(4, None)),
        (AccrualState.REVERSED, MovedLife(4, None)),
        (AccrualState.EVALUATED, MovedLife(4, None)),
    ],
)
def test_a_purchase_begins_a_new_life_with_what_it_had_earned(state: AccrualState | None, life: MovedLife) -> None:
    assert move_life(3, state) == life


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
