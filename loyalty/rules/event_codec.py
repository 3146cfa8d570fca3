"""Events as the log keeps them, and back: each field of an event's class is a member of its payload.

Ids, enums and instants are texts. A member that no field knows is passed over: the posting adds what else was so then.
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

JsonObject = dict[str, str | int | None]
AnyEvent = Event | GiftCardEvent

EVENT_CLASSES: Mapping[str, type[AnyEvent]] = {one.kind.value: one for one in get_args(AnyEvent)}
"""The class of each kind."""


class UnknownEvent(ValueError):
    """An event of a kind that a newer release has written."""


class UnreadableEvent(ValueError):
    """A payload that misses a member of its class, or has one of another type."""


class _Member(NamedTuple):
    """How one field is read from a payload."""

    name: str
    read: Callable[[Any], Any]
    default: Any


def encode_event(event: AnyEvent) -> JsonObject:
    """Return what is stored of an event beside its kind: its fields, ids as text."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value if value is None or isinstance(value, int) else str(value) for name, value in values.items()}


def decode_event(kind: str, payload: Mapping[str, Any]) -> AnyEvent:
    """Return the event that a payload holds. Raises UnknownEvent and UnreadableEvent."""
    known = EVENT_CLASSES.get(kind)
    if known is None:
        raise UnknownEvent(f"events of kind {kind!r} are unknown")
    try:
        return known(**{member.name: _read(member, payload) for member in _members(cast("Hashable", known))})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableEvent(f"the payload of {kind!r} has another form: {error}") from error


def _read(member: _Member, payload: Mapping[str, Any]) -> Any:
    if member.default is not MISSING and member.name not in payload:
        return member.default
    return member.read(payload[member.name])


@cache
def _members(known: Any) -> list[_Member]:
    """How the fields of a class are read: decided once for each class."""
    hints = get_type_hints(known)
    return [_Member(field.name, _reader_of(hints[field.name]), field.default) for field in fields(known)]


def _reader_of(kind: Any) -> Callable[[Any], Any]:
    if get_origin(kind) in (Union, types.UnionType):
        (some,) = (one for one in get_args(kind) if one is not types.NoneType)
        read = _reader_of(some)
        return lambda stored: None if stored is None else read(stored)
    kind = getattr(kind, "__supertype__", kind)
    if kind is UUID or issubclass(kind, Enum):
        return kind  # type: ignore[no-any-return]
    return lambda stored: _plain(kind, stored)


def _plain(kind: type, stored: Any) -> Any:
    """A number, text or truth value, which must be of just this type: True is no number of points."""
    if type(stored) is not kind:
        raise TypeError(f"{stored!r} is no {kind.__name__}")
    return stored
