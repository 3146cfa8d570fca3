"""The public payload of an event: its facts at that time as JSON, with the names and ids that clients use."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.event_codec import FIRST_VERSION
from schema.node_ids import encode_id

NODE_OF_MEMBER: Mapping[str, str] = {
    "customer_id": "Customer",
    "entry_id": "LedgerEntry",
    "purchase_id": "Purchase",
    "accrual_id": "Accrual",
    "adjustment_id": "Adjustment",
    "hold_id": "Hold",
    "redemption_id": "Redemption",
    "lot_id": "PointsLot",
    "opening_balance_id": "OpeningBalance",
    "merge_id": "CustomerMerge",
    "previous_tier_id": "Tier",
    "tier_id": "Tier",
    "gift_card_id": "GiftCard",
    "gift_card_hold_id": "GiftCardHold",
    "gift_id": "GiftCardGift",
}
"""The type of the object that a member names, which is shown by its global id. Any other id is shown as it is
stored."""


def show_payload(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored payload as clients read it: names in camelCase, ids as global ids."""
    shown = {
        to_camel_case(name): _show_member(name, value) for name, value in payload.items() if name != "customer_tier"
    }
    tier = payload.get("customer_tier")
    known = None if tier is None else {"id": encode_id("Tier", UUID(tier["id"])), "name": tier["name"]}
    return {"version": FIRST_VERSION, **shown, "customerTier": known}


def _show_member(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {to_camel_case(inner): number for inner, number in value.items()}
    type_name = NODE_OF_MEMBER.get(name)
    return value if type_name is None or value is None else encode_id(type_name, UUID(value))
