"""Facts that happened, as they are stored in the outbox: ids and numbers, never names or addresses of people."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar, Self
from uuid import UUID

from loyalty.rules.ids import AccrualId, AdjustmentId, CustomerId, EntryId, PurchaseId, TierId
from loyalty.rules.tiers import TierChangeCause

JsonObject = dict[str, str | int | None]


class EventKind(StrEnum):
    """The public name of an event: what it is about, then what happened to it."""

    POINTS_EARNED = "points.earned"
    POINTS_PENDING = "points.pending"
    POINTS_VOIDED = "points.voided"
    POINTS_REVERSED = "points.reversed"
    POINTS_ADJUSTED = "points.adjusted"
    TIER_UPGRADED = "tier.upgraded"
    TIER_DOWNGRADED = "tier.downgraded"


@dataclass(frozen=True, slots=True)
class PointsEarned:
    """A purchase earned points. `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_EARNED

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(
            customer_id=CustomerId(_uuid(data, "customer_id")),
            entry_id=EntryId(_uuid(data, "entry_id")),
            purchase_id=PurchaseId(_uuid(data, "purchase_id")),
            accrual_id=AccrualId(_uuid(data, "accrual_id")),
            points=_int(data, "points"),
            available=_int(data, "available"),
        )


@dataclass(frozen=True, slots=True)
class PointsPending:
    """A purchase earned points that cannot be spent yet; no entry exists for them."""

    kind: ClassVar[EventKind] = EventKind.POINTS_PENDING

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(*_promise(data))


@dataclass(frozen=True, slots=True)
class PointsVoided:
    """Pending points will not come: the purchase was called off."""

    kind: ClassVar[EventKind] = EventKind.POINTS_VOIDED

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(*_promise(data))


@dataclass(frozen=True, slots=True)
class PointsReversed:
    """Earned points were taken back. `points` is negative, `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_REVERSED

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(
            customer_id=CustomerId(_uuid(data, "customer_id")),
            entry_id=EntryId(_uuid(data, "entry_id")),
            purchase_id=PurchaseId(_uuid(data, "purchase_id")),
            accrual_id=AccrualId(_uuid(data, "accrual_id")),
            points=_int(data, "points"),
            available=_int(data, "available"),
        )


@dataclass(frozen=True, slots=True)
class PointsAdjusted:
    """Somebody corrected points by hand. `points` is signed, `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_ADJUSTED

    customer_id: CustomerId
    entry_id: EntryId
    adjustment_id: AdjustmentId
    points: int
    available: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(
            customer_id=CustomerId(_uuid(data, "customer_id")),
            entry_id=EntryId(_uuid(data, "entry_id")),
            adjustment_id=AdjustmentId(_uuid(data, "adjustment_id")),
            points=_int(data, "points"),
            available=_int(data, "available"),
        )


@dataclass(frozen=True, slots=True)
class TierUpgraded:
    """A customer came into a higher tier, or into a first one (no previous tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_UPGRADED

    customer_id: CustomerId
    previous_tier_id: TierId | None
    tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(
            customer_id=CustomerId(_uuid(data, "customer_id")),
            previous_tier_id=_tier_id(data, "previous_tier_id"),
            tier_id=TierId(_uuid(data, "tier_id")),
            cause=TierChangeCause(_str(data, "cause")),
            qualifying_points=_int(data, "qualifying_points"),
        )


@dataclass(frozen=True, slots=True)
class TierDowngraded:
    """A customer fell into a lower tier, or out of all of them (no tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_DOWNGRADED

    customer_id: CustomerId
    previous_tier_id: TierId
    tier_id: TierId | None
    cause: TierChangeCause
    qualifying_points: int

    def to_json(self) -> JsonObject:
        """Return the payload as a JSON object."""
        return _to_json(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read a stored payload; ValueError when a field is missing or malformed."""
        return cls(
            customer_id=CustomerId(_uuid(data, "customer_id")),
            previous_tier_id=TierId(_uuid(data, "previous_tier_id")),
            tier_id=_tier_id(data, "tier_id"),
            cause=TierChangeCause(_str(data, "cause")),
            qualifying_points=_int(data, "qualifying_points"),
        )


Event = PointsEarned | PointsPending | PointsVoided | PointsReversed | PointsAdjusted | TierUpgraded | TierDowngraded

_TYPES: Mapping[EventKind, type[Event]] = {
    EventKind.POINTS_EARNED: PointsEarned,
    EventKind.POINTS_PENDING: PointsPending,
    EventKind.POINTS_VOIDED: PointsVoided,
    EventKind.POINTS_REVERSED: PointsReversed,
    EventKind.POINTS_ADJUSTED: PointsAdjusted,
    EventKind.TIER_UPGRADED: TierUpgraded,
    EventKind.TIER_DOWNGRADED: TierDowngraded,
}


def event_from_json(kind: EventKind, data: Mapping[str, object]) -> Event:
    """Read a stored payload of any kind; ValueError when a field is missing or malformed."""
    return _TYPES[kind].from_json(data)


def _to_json(event: Event) -> JsonObject:
    return {field.name: _json_value(getattr(event, field.name)) for field in fields(event)}


def _json_value(value: UUID | StrEnum | int | None) -> str | int | None:
    return value if value is None or isinstance(value, int) else str(value)


def _promise(data: Mapping[str, object]) -> tuple[CustomerId, PurchaseId, AccrualId, int]:
    return (
        CustomerId(_uuid(data, "customer_id")),
        PurchaseId(_uuid(data, "purchase_id")),
        AccrualId(_uuid(data, "accrual_id")),
        _int(data, "points"),
    )


def _tier_id(data: Mapping[str, object], name: str) -> TierId | None:
    return None if data.get(name) is None else TierId(_uuid(data, name))


def _uuid(data: Mapping[str, object], name: str) -> UUID:
    return UUID(_str(data, name))


def _str(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        message = f"{name} must be a text"
        raise ValueError(message)  # noqa: TRY004 - one kind of error for whatever is wrong with stored data
    return value


def _int(data: Mapping[str, object], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"{name} must be a whole number"
        raise ValueError(message)  # noqa: TRY004 - as above
    return value
