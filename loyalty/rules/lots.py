"""Lots: parcels of points with their own expiry, and which of them a debit takes from.

What expires soonest goes first, what never expires goes last, and among equals the oldest goes first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.ids import LotId

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OpenLot:
    """A lot with points left. `expires_at` is the first instant at which they cannot be spent; None is never."""

    id: LotId
    remaining: int
    expires_at: datetime | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many points a debit takes from one lot; always positive."""

    lot_id: LotId
    points: int


def is_spendable(lot: OpenLot, at: datetime) -> bool:
    """Tell whether a lot's points can be spent at an instant: expired means unspendable at that very instant."""
    return lot.expires_at is None or at < lot.expires_at


def allocate(lots: Iterable[OpenLot], points: int) -> tuple[Allocation, ...]:
    """Take points from lots, soonest expiry first, no expiry last, then the oldest.

    The caller leaves out what has expired. Raises InsufficientPoints when the lots hold less, and ValueError for a
    negative number; nothing is taken then.
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


def _spending_order(lot: OpenLot) -> tuple[bool, datetime, datetime, UUID]:
    return (lot.expires_at is None, lot.expires_at or _NEVER, lot.opened_at, lot.id)
