"""Encode events for the log, and decode them: each field of an event's class is a member of its payload.

Ids, enums and instants are texts. Every payload has the version of its kind, and the customer's numbers and tier at the
event. A payload without a version is the oldest form: version 1. Unknown members are ignored, so a payload of a newer
release can be read as far as it is known.
"""

import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from loyalty.rules.events import Event
from loyalty.rules.gift_card_events import GiftCardEvent
from loyalty.rules.ids import TierId

JsonObject = dict[str, str | int | None]
FIRST_VERSION = 1
"""The version of a payload that has no version."""
AnyEvent = Event | GiftCardEvent

EVENT_CLASSES: Mapping[str, type[AnyEvent]] = {one.kind.value: one for one in get_args(AnyEvent)}
"""The class of each kind."""


class UnknownEvent(ValueError):
    """An event of a kind that a newer release has written."""


class UnreadableEvent(ValueError):
    """A payload that lacks a member of its version, or has a member of another type."""


class TierThen(NamedTuple):
    """A tier with the name that it had at the event."""

    id: TierId
    name: str


class CustomerThen(NamedTuple):
    """The state of a customer right after an event."""

    account: Mapping[str, int]
    """The numbers of the account."""
    locale: str | None
    """The customer's language."""
    tier: TierThen | None
    """None for no tier, and in payloads of the version 1."""


class _Member(NamedTuple):
    """How one field is read from a payload."""

    name: str
    read: Callable[[Any], Any]
    default: Any


def encode_payload(event: AnyEvent, then: CustomerThen | None) -> dict[str, Any]:
    """Return the payload of an event: its version, its fields, and the state of the customer."""
    if then is None:
        return {**encode_event(event), "account": None, "locale": None, "customer_tier": None}
    tier = None if then.tier is None else {"id": str(then.tier.id), "name": then.tier.name}
    return {**encode_event(event), "account": dict(then.account), "locale": then.locale, "customer_tier": tier}


def encode_event(event: AnyEvent) -> JsonObject:
    """Return the version and the fields of an event, ids as text."""
    told: JsonObject = {"version": event.version}
    for name in _list_names(cast("Hashable", type(event))):
        value = getattr(event, name)
        told[name] = value if value is None or isinstance(value, int) else str(value)
    return told


def decode_event(kind: str, payload: Mapping[str, Any]) -> AnyEvent:
    """Return the event that a payload holds. Raises UnknownEvent and UnreadableEvent."""
    known = EVENT_CLASSES.get(kind)
    if known is None:
        raise UnknownEvent(f"events of kind {kind!r} are unknown")
    try:
        is_earlier = read_version(payload) < known.version
        members = _list_members(cast("Hashable", known))
        return known(**{member.name: _read_member(member, payload, is_earlier=is_earlier) for member in members})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableEvent(f"the payload of {kind!r} has another form: {error}") from error


def decode_customer(payload: Mapping[str, Any]) -> CustomerThen | None:
    """Return the state of the customer from a payload; None if it names no customer."""
    if payload["account"] is None:
        return None
    tier = payload.get("customer_tier")
    told = None if tier is None else TierThen(TierId(UUID(tier["id"])), tier["name"])
    return CustomerThen(payload["account"], payload.get("locale"), told)


def read_version(payload: Mapping[str, Any]) -> int:
    """Return the version of a payload."""
    version: int = _require_type(int, payload.get("version", FIRST_VERSION))
    return version


def _read_member(member: _Member, payload: Mapping[str, Any], *, is_earlier: bool) -> Any:
    """Return the value of a member. If an earlier version does not have it, return the default of the field."""
    if is_earlier and member.default is not MISSING and member.name not in payload:
        return member.default
    return member.read(payload[member.name])


@cache
def _list_names(known: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(known))


@cache
def _list_members(known: Any) -> list[_Member]:
    """Return how each field of an event's class is read. The answer is computed once for each class."""
    hints = get_type_hints(known)
    return [_Member(field.name, _choose_reader(hints[field.name]), field.default) for field in fields(known)]


def _choose_reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that turns a stored value into the type `kind`. If `kind` allows None, it lets None pass."""
    if get_origin(kind) in (Union, types.UnionType):
        (some,) = (one for one in get_args(kind) if one is not types.NoneType)
        read = _choose_reader(some)
        return lambda stored: None if stored is None else read(stored)
    kind = getattr(kind, "__supertype__", kind)
    if kind is UUID or issubclass(kind, Enum):
        return kind  # type: ignore[no-any-return]
    return lambda stored: _require_type(kind, stored)


def _require_type(kind: type, stored: Any) -> Any:
    """Return a stored number, text or truth value unchanged.

    Raises TypeError unless it has exactly the type `kind`: True is no number.
    """
    if type(stored) is not kind:
        raise TypeError(f"{stored!r} is no {kind.__name__}")
    return stored
