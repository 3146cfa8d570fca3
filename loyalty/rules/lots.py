"""Lots: parcels of points with their own expiry, and the order in which debits take from them.

Lots that expire first are taken first, lots that never expire last. Among equals the oldest is taken first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.ids import LotId

_NEVER = datetime.max.replace(tzinfo=UTC)


class LotState(StrEnum):
    """Whether a lot still has points."""

    OPEN = "OPEN"
    """Points remain in the lot, or are held."""
    EXHAUSTED = "EXHAUSTED"
    """All points were taken."""
    EXPIRED = "EXPIRED"
    """The last points expired."""


@dataclass(frozen=True, slots=True)
class Lot:
    """A parcel of points. `expires_at` is the first instant at which they cannot be spent; None is never.

    `remaining` points can be spent, `held` points are set aside at a checkout, `expired` points are lost. `cause_id` is
    the cause of the entry that brought the points. `notice_at` is when the next notice of their expiry is due; None if
    no notice is left. `inactivity_days` is set if each earning and redemption moves the expiry to so many days later.
    """

    id: LotId
    remaining: int
    expires_at: datetime | None
    opened_at: datetime
    held: int = 0
    expired: int = 0
    cause_id: UUID | None = None
    notice_at: datetime | None = None
    inactivity_days: int | None = None

    @property
    def state(self) -> LotState:
        """OPEN as long as the lot has remaining or held points; then EXPIRED if any of its points expired."""
        if self.remaining + self.held:
            return LotState.OPEN
        return LotState.EXPIRED if self.expired else LotState.EXHAUSTED


@dataclass(frozen=True, slots=True)
class Parcel:
    """Points that come in together and will be one lot.

    `cause_id` and `opened_at` are for points that existed before. None means the cause of the entry, and now.
    """

    points: int
    expires_at: datetime | None = None
    notice_at: datetime | None = None
    cause_id: UUID | None = None
    opened_at: datetime | None = None
    inactivity_days: int | None = None


def parcel_of(lot: Lot, points: int) -> Parcel:
    """Return a parcel of points with the cause and the dates of a lot, so that they move to a new lot unchanged."""
    return Parcel(points, lot.expires_at, lot.notice_at, lot.cause_id, lot.opened_at, lot.inactivity_days)


def sort_by_expiry(parcels: Iterable[Parcel]) -> list[Parcel]:
    """Return parcels in the order of their expiry. Parcels that never expire come last."""
    return sorted(parcels, key=lambda parcel: parcel.expires_at or _NEVER)


def merge_parcels(parcels: Iterable[Parcel]) -> list[Parcel]:
    """Return one parcel for all parcels with the same expiry, in the order in which each expiry came first.

    It has the cause and the dates of the last of these parcels.
    """
    merged: dict[tuple[datetime | None, int | None], Parcel] = {}
    for parcel in parcels:
        key = (parcel.expires_at, parcel.inactivity_days)
        before = merged.get(key)
        merged[key] = parcel if before is None else replace(parcel, points=parcel.points + before.points)
    return list(merged.values())


def drop_soonest(parcels: Iterable[Parcel], points: int) -> list[Parcel]:
    """Take so many points out of parcels, from those that expire first; return the parcels that are left."""
    left = []
    for parcel in sort_by_expiry(parcels):
        gone = min(points, parcel.points)
        points -= gone
        if parcel.points > gone:
            left.append(replace(parcel, points=parcel.points - gone))
    return left


def fit_parcels(parcels: Sequence[Parcel], points: int) -> list[Parcel]:
    """Return parcels that hold exactly so many points.

    If there are too many points, they are taken from the parcels that expire first. If points are missing, they are
    added to the parcel that expires last.
    """
    surplus = sum(parcel.points for parcel in parcels) - points
    fitted = drop_soonest(parcels, max(0, surplus))
    if surplus < 0:
        fitted[-1] = replace(fitted[-1], points=fitted[-1].points - surplus)
    return fitted


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many points a debit takes from one lot; always positive."""

    lot_id: LotId
    points: int


def take_points(lot: Lot, points: int) -> Lot:
    """Take points out of a lot for good. Raises ValueError if fewer points remain."""
    return _check_lot(replace(lot, remaining=lot.remaining - points))


def set_aside(lot: Lot, points: int) -> Lot:
    """Set points of a lot aside for a checkout. Raises ValueError if fewer points remain."""
    return _check_lot(replace(lot, remaining=lot.remaining - points, held=lot.held + points))


def take_held(lot: Lot, points: int) -> Lot:
    """Take held points out of a lot for good. Raises ValueError if fewer points are held."""
    return _check_lot(replace(lot, held=lot.held - points))


def put_back(lot: Lot, points: int) -> Lot:
    """Free held points of a lot. They can be spent again, unless the lot has expired.

    Raises ValueError if fewer points are held.
    """
    return _check_lot(replace(lot, remaining=lot.remaining + points, held=lot.held - points))


def give_back(lot: Lot, points: int) -> Lot:
    """Give points back to the lot that they were taken from."""
    return _check_lot(replace(lot, remaining=lot.remaining + points))


def expire_lot(lot: Lot) -> Lot:
    """Let the remaining points of a lot expire. Held points stay."""
    return replace(lot, remaining=0, expired=lot.expired + lot.remaining)


def is_spendable(lot: Lot, at: datetime) -> bool:
    """Tell whether a lot's points can be spent at an instant. At the instant of expiry they cannot."""
    return lot.expires_at is None or at < lot.expires_at


def allocate(lots: Iterable[Lot], points: int) -> tuple[Allocation, ...]:
    """Decide which lots give so many points: the lot that expires first, and of equal ones the oldest.

    Lots that never expire come last. The caller must leave out expired lots. Raises InsufficientPoints if the lots hold
    fewer points, and ValueError for a negative number.
    """
    if points < 0:
        message = "points to take must not be negative"
        raise ValueError(message)
    taken: list[Allocation] = []
    missing = points
    for lot in sorted(lots, key=_spending_order):
        if not missing:
            break
        if part := min(lot.remaining, missing):
            taken.append(Allocation(lot.id, part))
            missing -= part
    if missing:
        raise InsufficientPoints(available=points - missing, required=points)
    return tuple(taken)


def allocate_own_first(lots: Sequence[Lot], cause_id: UUID, points: int) -> tuple[Allocation, ...]:
    """Decide which lots give so many points: first the lots that a cause has opened, then the other lots.

    Raises InsufficientPoints if all lots together hold fewer points.
    """
    own = [lot for lot in lots if lot.cause_id == cause_id]
    others = [lot for lot in lots if lot.cause_id != cause_id]
    from_own = min(points, sum(lot.remaining for lot in own))
    return (*allocate(own, from_own), *allocate(others, points - from_own))


def _check_lot(lot: Lot) -> Lot:
    """Return the lot unchanged. Raises ValueError if one of its numbers is below zero."""
    if lot.remaining < 0 or lot.held < 0:
        message = "more points than the lot has"
        raise ValueError(message)
    return lot


def _spending_order(lot: Lot) -> tuple[bool, datetime, datetime, UUID]:
    """Return the key by which lots are sorted to be spent: soonest expiry first, then the oldest."""
    return (lot.expires_at is None, lot.expires_at or _NEVER, lot.opened_at, lot.id)
