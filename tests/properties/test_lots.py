import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.lots import Lot, allocate
from tests.properties.strategies import SEASON, lot_sets


@given(lot_sets(), st.data())
def test_allocation_conserves_points(lots: list[Lot], data: st.DataObject) -> None:
    """F-13: exactly what is asked for is taken, at most what is there, once from each lot."""
    points = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    taken = {allocation.lot_id: allocation.points for allocation in allocate(lots, points)}
    assert len(taken) == len(allocate(lots, points))
    assert sum(taken.values()) == points
    remaining = {lot.id: lot.remaining for lot in lots}
    assert all(0 < part <= remaining[lot_id] for lot_id, part in taken.items())


@given(lot_sets(), st.data())
def test_allocation_takes_by_expiry_then_age(lots: list[Lot], data: st.DataObject) -> None:
    """F-13: a lot is touched only when every lot before it is empty."""
    points = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    taken = {allocation.lot_id: allocation.points for allocation in allocate(lots, points)}
    far = SEASON[1].replace(year=9999)
    ordered = sorted(lots, key=lambda lot: (lot.expires_at or far, lot.opened_at, lot.id))
    touched = [lot for lot in ordered if lot.id in taken]
    for position, lot in enumerate(ordered):
        if touched and position < ordered.index(touched[-1]):
            assert taken.get(lot.id, 0) == lot.remaining
    assert [allocation.lot_id for allocation in allocate(lots, points)] == [lot.id for lot in touched]


@given(lot_sets(), st.data())
def test_allocation_does_not_depend_on_the_order_of_the_lots(lots: list[Lot], data: st.DataObject) -> None:
    points = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    assert allocate(data.draw(st.permutations(lots)), points) == allocate(lots, points)


@given(lot_sets(), st.data())
def test_taking_twice_is_taking_once(lots: list[Lot], data: st.DataObject) -> None:
    """Two debits in a row empty the same lots as one of both."""
    points = data.draw(st.integers(0, sum(lot.remaining for lot in lots)))
    first = data.draw(st.integers(0, points))
    taken = {allocation.lot_id: allocation.points for allocation in allocate(lots, first)}
    left = [Lot(lot.id, lot.remaining - taken.get(lot.id, 0), lot.expires_at, lot.opened_at) for lot in lots]
    for allocation in allocate(left, points - first):
        taken[allocation.lot_id] = taken.get(allocation.lot_id, 0) + allocation.points
    assert taken == {allocation.lot_id: allocation.points for allocation in allocate(lots, points)}


@given(lot_sets(), st.integers(1, 1_000))
def test_more_than_the_lots_hold_is_refused(lots: list[Lot], excess: int) -> None:
    held = sum(lot.remaining for lot in lots)
    with pytest.raises(InsufficientPoints) as refusal:
        allocate(lots, held + excess)
    assert (refusal.value.available, refusal.value.required) == (held, held + excess)
