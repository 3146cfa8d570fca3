from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.ids import LotId
from loyalty.rules.lots import (
    Allocation,
    Lot,
    Parcel,
    allocate,
    allocate_own_first,
    drop_soonest,
    fit_parcels,
    is_spendable,
    merge_parcels,
)
from tests.loyalty.rules.builders import NOW

DAY = timedelta(days=1)


def lot(number: int, remaining: int, expires_at: datetime | None = None, opened_at: datetime = NOW) -> Lot:
    return Lot(LotId(UUID(int=number)), remaining, expires_at, opened_at)


def taken(*parts: tuple[int, int]) -> tuple[Allocation, ...]:
    return tuple(Allocation(LotId(UUID(int=number)), points) for number, points in parts)


def test_takes_what_expires_soonest_first_and_what_never_expires_last() -> None:
    """F-13: debits are paired with lots."""
    lots = [lot(1, 10), lot(2, 10, NOW + 2 * DAY), lot(3, 10, NOW + DAY)]
    assert allocate(lots, 25) == taken((3, 10), (2, 10), (1, 5))


def test_takes_the_oldest_first_among_equals() -> None:
    lots = [lot(1, 10, opened_at=NOW), lot(2, 10, opened_at=NOW - DAY), lot(3, 10, opened_at=NOW - DAY)]
    assert allocate(lots, 30) == taken((2, 10), (3, 10), (1, 10))


def test_takes_999_of_1000() -> None:
    """PB-12: redeem 999 of 1000."""
    assert allocate([lot(1, 1_000)], 999) == taken((1, 999))


def test_takes_nothing_from_empty_lots() -> None:
    assert allocate([lot(1, 0), lot(2, 5)], 5) == taken((2, 5))
    assert allocate([lot(1, 5)], 0) == ()
    assert allocate([], 0) == ()


def test_refuses_more_points_than_the_lots_hold() -> None:
    with pytest.raises(InsufficientPoints) as refusal:
        allocate([lot(1, 5), lot(2, 6)], 12)
    assert (refusal.value.available, refusal.value.required) == (11, 12)


def test_refuses_to_take_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="negative"):
        allocate([lot(1, 5)], -1)


@pytest.mark.parametrize(
    ("expires_at", "spendable"),
    [
        (None, True),
        (NOW + timedelta(seconds=1), True),
        (NOW, False),
        (NOW - timedelta(seconds=1), False),
    ],
)
def test_expired_means_unspendable_at_that_very_instant(
    expires_at: datetime | None,
    spendable: bool,  # noqa: FBT001
) -> None:
    """PB-13, F-24: one second before, at and after."""
    assert is_spendable(lot(1, 5, expires_at), NOW) is spendable


SOON, LATE, EVER = Parcel(5, NOW + DAY), Parcel(7, NOW + 2 * DAY), Parcel(3)


@pytest.mark.parametrize(
    ("points", "left"),
    [
        (0, [SOON, LATE, EVER]),
        (2, [Parcel(3, NOW + DAY), LATE, EVER]),
        (5, [LATE, EVER]),
        (13, [Parcel(2)]),
        (15, []),
    ],
)
def test_drops_what_expires_soonest(points: int, left: list[Parcel]) -> None:
    assert drop_soonest([EVER, LATE, SOON], points) == left


def test_fits_parcels_to_points() -> None:
    assert fit_parcels([LATE, SOON], 9) == [Parcel(2, NOW + DAY), LATE]
    assert fit_parcels([LATE, SOON], 12) == [SOON, LATE]
    assert fit_parcels([LATE, SOON], 20) == [SOON, Parcel(15, NOW + 2 * DAY)]


def test_merges_what_expires_together() -> None:
    idle = Parcel(1, NOW + DAY, inactivity_days=30)
    assert merge_parcels([SOON, EVER, SOON, idle]) == [Parcel(10, NOW + DAY), EVER, idle]


def test_takes_from_the_lots_of_a_cause_first() -> None:
    cause = UUID(int=9)
    lots = [lot(1, 10, NOW + DAY), replace(lot(2, 4), cause_id=cause), lot(3, 10)]
    assert allocate_own_first(lots, cause, 3) == taken((2, 3))
    assert allocate_own_first(lots, cause, 16) == taken((2, 4), (1, 10), (3, 2))
