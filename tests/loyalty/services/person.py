"""A customer with a trace in every place where the service keeps something of a person."""

from dataclasses import replace
from datetime import date
from typing import NamedTuple

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.identifier import Identifier
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.refund import Refund
from loyalty.services.customer import CustomerKey
from loyalty.services.customer_archive import archive_customer, unarchive_customer
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from loyalty.services.gift_card_expiry import ExtendRequest, extend_gift_card
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.gift_card_hold import hold_gift_card, release_gift_card
from loyalty.services.gift_card_product import create_product
from loyalty.services.hold import HoldRequest
from loyalty.services.profile import upsert_customers
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from loyalty.services.redemption import hold_points, release_hold, return_redemption
from loyalty.services.refund import RefundRequest, refund_purchase
from loyalty.services.tier_lock import TierLockRequest, lock_tier
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    product,
    report,
    set_redemption,
)
from tests.loyalty.services.gift_cards import card_hold_request, issue

ANNA = CustomerKey(external_id="anna.canary@example.com")
CANARY = "canary"
"""Stands in everything that names the person, and nowhere else."""
BIRTHDAY = "1990-05-17"
"""Is looked for as well: it can hold no word."""
PHONE = "+49301234567"
NOTES = {"internal_note": "a shy canary", "customer_description": "Dear Ms Canary"}


class Life(NamedTuple):
    """A customer with a trace in every place there is, and the actor of that customer."""

    customer_id: CustomerId
    merged_id: CustomerId
    anna: Actor


async def live(world: World, salon: Salon) -> Life:
    """Do everything that the service can do with Anna's name in it."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    profile = CustomerProfile(
        ANNA.external_id or "",
        full_name="Anna Canary",
        email="Canary@example.com",
        avatar_url="https://example.com/canary.png",
        phone=PHONE,
        birthday=BIRTHDAY,
        identifiers=(Identifier("CARD", "canary-77"),),
        tags=("canary fan",),
        marketing_consent=True,
        consent_source="the canary form",
    )
    (row,) = await upsert_customers(world, salon.manager, [profile])
    assert not isinstance(row, Exception)
    anna = replace(customer_actor(salon.tenant_id, row.id), display="Anna Canary")
    renamed = CustomerProfile(ANNA.external_id or "", full_name="Anna Canary-Miller", tags=("canary fan", "VIP"))
    await upsert_customers(world, salon.manager, [renamed])
    name = ANNA.external_id or ""

    bought = "order of canary@example.com"
    await earn(world, salon, order("order-1", 20_000, customer=name))
    await earn(world, salon, report(PurchaseStatus.PAID, "order-1", customer=name, key="canary@example.com paid"))
    await earn(world, salon, order(bought, 10_000, customer=name))
    await give(world, salon, 500, "500 for canary@example.com", customer=name, **NOTES)
    own = await hold_points(world, anna, own_hold(bought, "hold by canary@example.com"))
    await release_hold(world, anna, own.hold.id, "mine", "canary changed her mind")
    held = await hold(world, salon, 50, "staff hold", customer=name, checkout=checkout(purchase=bought))
    captured = await capture(world, salon, held, "staff capture")
    await return_redemption(world, salon.manager, captured.redemption.id, 5, "canary did not like it", "return")
    part = Refund((), 1_000)
    refund = RefundRequest(order_name("order-1"), part, None, "broken by canary", None, "refund")
    await refund_purchase(world, salon.manager, refund)
    await earn(world, salon, order("wrong", 3_000, customer=name))
    await known_customer(world, salon, "bea")
    bea = CustomerKey(external_id="bea")
    wrong = ReassignRequest(order_name("wrong"), bea, "not the canary", "reassign")
    await reassign_purchase(world, salon.manager, wrong)

    await known_customer(world, salon, "former-canary@example.com")
    former = CustomerProfile("former-canary@example.com", full_name="Canary, Anna", email="former@canary.example")
    (merged,) = await upsert_customers(world, salon.manager, [former])
    assert not isinstance(merged, Exception)
    await give(world, salon, 5, "before the merge", customer="former-canary@example.com", internal_note="canary, too")
    names = (CustomerKey(external_id="former-canary@example.com"), ANNA)
    await merge_customers(world, salon.manager, MergeRequest(*names, "both are Canary", "merge"))

    await archive_customer(world, salon.manager, ANNA, "canary moved away")
    await unarchive_customer(world, salon.manager, ANNA, "canary is back")
    await lock_tier(world, salon.manager, TierLockRequest(ANNA, None, None, "canary's own wish", "lock"))
    await _use_gift_cards(world, salon, anna)
    return Life(row.id, merged.id, anna)


async def _use_gift_cards(world: World, salon: Salon, anna: Actor) -> None:
    """Extend, hold, release and give away a card of Anna's. Let her buy one card and claim another one."""
    voucher = await create_product(world, salon.manager, product())
    await buy_gift_card(world, anna, BuyRequest(ANNA, voucher.product.id, "buy"))
    told = {"reason": "for canary", "reference": "sale to canary@example.com"}
    card = (await issue(world, salon, 5_000, "card", customer=ANNA.external_id, **told)).card
    longer = ExtendRequest(card.id, date(2098, 1, 1), "canary was ill", "extend")
    await extend_gift_card(world, salon.manager, longer)
    held = await hold_gift_card(world, anna, card_hold_request(card.id, 1_000, "till", order="canary@example.com 2"))
    await release_gift_card(world, anna, held.hold.id, "no", "canary pays cash")
    gift = Gift("Canary's mother", "mother@canary.example", "From your Canary", None)
    await give_gift_card(world, anna, GiveRequest(card.id, gift, "give"))
    sold = await issue(world, salon, 2_000, "sold", customer="bea")
    bea = customer_actor(salon.tenant_id, sold.card.holder_id or CustomerId(card.id))
    await give_gift_card(world, bea, GiveRequest(sold.card.id, gift, "to canary@example.com"))
    claimed = await claim_gift_card(world, anna, sold.code, None, "claim")
    again = await hold_gift_card(world, salon.integration, card_hold_request(claimed.card.id, 500, "staff till"))
    await release_gift_card(world, salon.manager, again.hold.id, "not today", "canary was in a hurry")


def order_name(external_id: str) -> PurchaseName:
    """Return an order by its natural key."""
    return PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, external_id))


def own_hold(purchase: str, key: str) -> HoldRequest:
    """Return points that Anna sets aside herself."""
    return HoldRequest(ANNA, 20, checkout(purchase=purchase), None, None, key)
