import json
from dataclasses import fields, replace
from uuid import UUID

import pytest

from loyalty.rules.archive import ArchiveCause
from loyalty.rules.event_codec import (
    EVENT_CLASSES,
    UnknownEvent,
    UnreadableEvent,
    decode_event,
    encode_event,
)
from loyalty.rules.events import (
    CustomerArchived,
    CustomerErased,
    CustomerUnarchived,
    Event,
    EventKind,
    PointsAdjusted,
    PointsEarned,
    PointsExpired,
    PointsExpiring,
    PointsHeld,
    PointsMerged,
    PointsOpened,
    PointsPending,
    PointsRedeemed,
    PointsReleased,
    PointsReturned,
    PointsReversed,
    PointsVoided,
    TierDowngraded,
    TierUpgraded,
)
from loyalty.rules.gift_card_events import (
    GiftCardBought,
    GiftCardClaimed,
    GiftCardEvent,
    GiftCardExpired,
    GiftCardExtended,
    GiftCardGiven,
    GiftCardHeld,
    GiftCardIssued,
    GiftCardRefunded,
    GiftCardReleased,
    GiftCardReturned,
    GiftCardSpent,
    GiftCardVoided,
)
from loyalty.rules.ids import (
    AccrualId,
    AdjustmentId,
    CustomerId,
    CustomerMergeId,
    EntryId,
    GiftCardGiftId,
    GiftCardHoldId,
    GiftCardId,
    HoldId,
    LotId,
    OpeningBalanceId,
    PurchaseId,
    RedemptionId,
    TierId,
)
from loyalty.rules.tiers import TierChangeCause

CUSTOMER = CustomerId(UUID(int=1))
SILVER, GOLD = TierId(UUID(int=2)), TierId(UUID(int=3))
CARD, CARD_HOLD, GIFT = GiftCardId(UUID(int=15)), GiftCardHoldId(UUID(int=16)), GiftCardGiftId(UUID(int=17))
EVENTS: list[Event | GiftCardEvent] = [
    PointsEarned(CUSTOMER, EntryId(UUID(int=4)), PurchaseId(UUID(int=5)), AccrualId(UUID(int=6)), 10, 110),
    PointsPending(CUSTOMER, PurchaseId(UUID(int=5)), AccrualId(UUID(int=6)), 10),
    PointsVoided(CUSTOMER, PurchaseId(UUID(int=5)), AccrualId(UUID(int=6)), 10),
    PointsReversed(CUSTOMER, EntryId(UUID(int=4)), PurchaseId(UUID(int=5)), AccrualId(UUID(int=6)), -10, 90),
    PointsAdjusted(CUSTOMER, EntryId(UUID(int=4)), AdjustmentId(UUID(int=7)), -10, 90),
    PointsHeld(CUSTOMER, HoldId(UUID(int=8)), 10, 80),
    PointsReleased(CUSTOMER, HoldId(UUID(int=8)), 10, 90),
    PointsRedeemed(CUSTOMER, EntryId(UUID(int=4)), RedemptionId(UUID(int=9)), -10, 80),
    PointsReturned(CUSTOMER, EntryId(UUID(int=4)), RedemptionId(UUID(int=9)), 10, 90),
    PointsExpiring(CUSTOMER, LotId(UUID(int=10)), 10, 30, "2026-03-31T22:00:00+00:00", marketing_consent=True),
    PointsExpired(CUSTOMER, EntryId(UUID(int=4)), LotId(UUID(int=10)), -10, 80),
    PointsOpened(CUSTOMER, EntryId(UUID(int=4)), OpeningBalanceId(UUID(int=11)), 10, 90),
    PointsMerged(CUSTOMER, EntryId(UUID(int=4)), CustomerMergeId(UUID(int=12)), -10, 80),
    TierUpgraded(CUSTOMER, SILVER, GOLD, TierChangeCause.ACCRUAL, 1_000),
    TierUpgraded(CUSTOMER, None, SILVER, TierChangeCause.PROGRAM_CHANGE, 0),
    TierDowngraded(CUSTOMER, GOLD, SILVER, TierChangeCause.ADJUSTMENT, 999),
    TierDowngraded(CUSTOMER, SILVER, None, TierChangeCause.REVERSAL, -1),
    CustomerArchived(CUSTOMER, UUID(int=13), ArchiveCause.CALL),
    CustomerUnarchived(CUSTOMER, UUID(int=14), ArchiveCause.PURCHASE),
    CustomerErased(CUSTOMER),
    GiftCardBought(CUSTOMER, EntryId(UUID(int=4)), CARD, -500, 90),
    GiftCardRefunded(CUSTOMER, EntryId(UUID(int=4)), CARD, 500, 590),
    GiftCardIssued(CUSTOMER, CARD, 5_000, "EUR", 5_000),
    GiftCardHeld(CUSTOMER, CARD, CARD_HOLD, 2_000, "EUR", 5_000),
    GiftCardReleased(CUSTOMER, CARD, CARD_HOLD, 500, "EUR", 5_000),
    GiftCardSpent(CUSTOMER, CARD, CARD_HOLD, -1_500, "EUR", 3_500),
    GiftCardReturned(CUSTOMER, CARD, CARD_HOLD, 500, "EUR", 4_000),
    GiftCardExpired(CUSTOMER, CARD, -4_000, "EUR", 0),
    GiftCardExtended(CUSTOMER, CARD, 4_000, "EUR", 4_000, "2099-12-31T23:00:00+00:00"),
    GiftCardVoided(CUSTOMER, CARD, -4_000, "EUR", 0),
    GiftCardGiven(CUSTOMER, CARD, GIFT, "EUR", 4_000),
    GiftCardClaimed(CUSTOMER, CARD, "EUR", 4_000),
]
UPGRADE = next(event for event in EVENTS if isinstance(event, TierUpgraded))


@pytest.mark.parametrize("event", EVENTS)
def test_a_payload_is_plain_json_with_every_field(event: Event | GiftCardEvent) -> None:
    stored = json.loads(json.dumps(encode_event(event)))
    assert stored.keys() == {field.name for field in fields(event)}
    assert all(value is None or type(value) in (bool, int, str) for value in stored.values())


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_comes_back_from_its_payload_as_it_was(event: Event | GiftCardEvent) -> None:
    """Also beside what the posting adds."""
    stored = json.loads(json.dumps({**encode_event(event), "account": {"available": 1}, "locale": None}))
    assert decode_event(event.kind.value, stored) == event


@pytest.mark.parametrize("event", EVENTS)
def test_a_payload_that_misses_a_member_or_has_another_type_is_not_guessed(event: Event | GiftCardEvent) -> None:
    stored = encode_event(event)
    for name in stored:
        if name != "marketing_consent":
            rest = {other: value for other, value in stored.items() if other != name}
            with pytest.raises(UnreadableEvent, match=event.kind.value):
                decode_event(event.kind, rest)
        with pytest.raises(UnreadableEvent, match=event.kind.value):
            decode_event(event.kind, {**stored, name: 1.5})


def test_a_notice_of_before_consent_was_told_says_no() -> None:
    notice = next(event for event in EVENTS if isinstance(event, PointsExpiring))
    earlier = {name: value for name, value in encode_event(notice).items() if name != "marketing_consent"}
    assert decode_event("points.expiring", earlier) == replace(notice, marketing_consent=False)


def test_an_event_of_a_newer_release_is_unknown() -> None:
    with pytest.raises(UnknownEvent, match=r"coffee\.made"):
        decode_event("coffee.made", {})


def test_every_kind_of_event_is_tried_and_has_a_class() -> None:
    assert {event.kind for event in EVENTS} == set(EventKind) == EVENT_CLASSES.keys()


def test_events_are_named_for_what_happened() -> None:
    """BK-100, BK-107."""
    assert {kind.value for kind in EventKind} == {
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
        "gift_card.expired",
        "gift_card.extended",
        "gift_card.voided",
        "gift_card.given",
        "gift_card.claimed",
    }


def test_an_upgrade_tells_its_cause() -> None:
    """BK-100, C-27."""
    assert encode_event(UPGRADE) == {
        "customer_id": str(CUSTOMER),
        "previous_tier_id": str(SILVER),
        "tier_id": str(GOLD),
        "cause": "ACCRUAL",
        "qualifying_points": 1_000,
    }
