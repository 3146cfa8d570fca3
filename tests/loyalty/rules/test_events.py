import itertools
import json
import re
import types
from collections.abc import Callable
from dataclasses import fields, replace
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

from loyalty.rules.event_codec import (
    EVENT_CLASSES,
    AnyEvent,
    UnknownEvent,
    UnreadableEvent,
    decode_event,
    encode_event,
)
from loyalty.rules.events import EventKind, PointsExpiring, TierUpgraded
from loyalty.rules.ids import CustomerId, LotId, TierId
from loyalty.rules.tiers import TierChangeCause

CUSTOMER = CustomerId(UUID(int=1))
SILVER, GOLD = TierId(UUID(int=2)), TierId(UUID(int=3))
UPGRADE = TierUpgraded(CUSTOMER, SILVER, GOLD, TierChangeCause.ACCRUAL, 1_000, "Silver", "Gold")
NOTICE = PointsExpiring(CUSTOMER, LotId(UUID(int=10)), 10, 30, "2026-03-31T22:00:00+00:00", marketing_consent=True)
NUMBERS = itertools.count(1)


def values_of(kind: Any) -> list[Any]:
    """Return values that a field of this type may have: one, and None where it may be empty."""
    if get_origin(kind) in (Union, types.UnionType):
        return [value for one in get_args(kind) for value in values_of(one)]
    kind = getattr(kind, "__supertype__", kind)
    if kind is types.NoneType:
        return [None]
    if issubclass(kind, Enum):
        return list(kind)
    made: dict[type, Callable[[], Any]] = {
        UUID: lambda: UUID(int=next(NUMBERS)),
        int: lambda: -next(NUMBERS),
        bool: lambda: True,
        str: lambda: "EUR",
    }
    return [made[kind]()]


def samples_of(known: type[AnyEvent]) -> list[AnyEvent]:
    """Return events of a class: together they have every value that `values_of` gives for a field."""
    hints = get_type_hints(known)
    columns = {field.name: values_of(hints[field.name]) for field in fields(known)}
    longest = max(map(len, columns.values()))
    return [known(**{name: values[n % len(values)] for name, values in columns.items()}) for n in range(longest)]


EVENTS = [event for known in EVENT_CLASSES.values() for event in samples_of(known)]


@pytest.mark.parametrize("event", EVENTS)
def test_a_payload_is_plain_json_with_every_field(event: AnyEvent) -> None:
    stored = json.loads(json.dumps(encode_event(event)))
    assert stored.keys() == {"version", *(field.name for field in fields(event))}
    assert all(value is None or type(value) in (bool, int, str) for value in stored.values())


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_from_its_payload_as_it_was(event: AnyEvent) -> None:
    """Also beside what the posting adds."""
    stored = json.loads(json.dumps({**encode_event(event), "account": {"available": 1}, "locale": None}))
    assert decode_event(event.kind.value, stored) == event


@pytest.mark.parametrize("event", EVENTS)
def test_a_payload_that_misses_a_member_or_has_another_type_is_not_guessed(event: AnyEvent) -> None:
    stored = encode_event(event)
    for name in stored:
        if name != "version":
            rest = {other: value for other, value in stored.items() if other != name}
            with pytest.raises(UnreadableEvent, match=event.kind.value):
                decode_event(event.kind, rest)
        with pytest.raises(UnreadableEvent, match=event.kind.value):
            decode_event(event.kind, {**stored, name: 1.5})


def test_a_notice_of_before_consent_was_told_says_no() -> None:
    earlier = {
        name: value for name, value in encode_event(NOTICE).items() if name not in {"version", "marketing_consent"}
    }
    assert decode_event("points.expiring", earlier) == replace(NOTICE, marketing_consent=False)


def test_an_event_of_a_newer_release_is_unknown() -> None:
    with pytest.raises(UnknownEvent, match=r"coffee\.made"):
        decode_event("coffee.made", {})


def test_every_kind_of_event_is_tried_and_has_a_class() -> None:
    assert {event.kind for event in EVENTS} == set(EventKind) == EVENT_CLASSES.keys()


def test_events_are_named_for_what_happened() -> None:
    """BK-100, BK-107: logs keep these names, so none of them may change."""
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.value) for kind in EventKind)
    assert {kind.value for kind in EventKind} >= {
        "points.earned",
        "points.pending",
        "points.voided",
        "points.reversed",
        "points.adjusted",
        "points.held",
        "points.released",
        "points.redeemed",
        "points.returned",
        "points.expiring",
        "points.expired",
        "points.opened",
        "points.merged",
        "tier.upgraded",
        "tier.downgraded",
        "customer.archived",
        "customer.unarchived",
        "customer.erased",
        "gift_card.bought",
        "gift_card.refunded",
        "gift_card.issued",
        "gift_card.held",
        "gift_card.released",
        "gift_card.spent",
        "gift_card.returned",
        "gift_card.expiring",
        "gift_card.expired",
        "gift_card.extended",
        "gift_card.voided",
        "gift_card.given",
        "gift_card.claimed",
    }


def test_an_upgrade_tells_its_cause() -> None:
    """BK-100, C-27."""
    assert encode_event(UPGRADE) == {
        "version": 2,
        "customer_id": str(CUSTOMER),
        "previous_tier_id": str(SILVER),
        "tier_id": str(GOLD),
        "cause": "ACCRUAL",
        "qualifying_points": 1_000,
        "previous_tier_name": "Silver",
        "tier_name": "Gold",
    }
