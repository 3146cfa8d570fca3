"""The tables of gift cards: each card is an account of its own, with entries and a chain of its own.

Entries only grow: the application role has no UPDATE and no DELETE on them. What a card says of its balance is a cached
sum, provable from its entries at any moment. Its code stands here hashed and encrypted, never in clear.
"""

from sqlalchemy import Column, Computed, Integer, LargeBinary
from sqlalchemy import text as sql

from loyalty.rules.entry_kinds import quote
from loyalty.rules.gift_card import ADDS, MOVES_NOTHING, GiftCardEntryKind, GiftCardOrigin
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import HoldState
from tenancy.table import (
    FILLED_LATER,
    INSTANT,
    amount,
    check,
    digest,
    due_index,
    identifier,
    index,
    instant,
    key_text,
    one_of,
    points,
    references,
    tenant_table,
    text_column,
    unique,
)

gift_cards = tenant_table(
    "gift_cards",
    identifier("id"),
    identifier("product_id", nullable=True),
    key_text("origin"),
    # Its buyer and its holder: both follow a merge. Null for a card without a holder.
    identifier("buyer_id", nullable=True),
    identifier("holder_id", nullable=True),
    digest("code_hash"),
    Column("code_sealed", LargeBinary, nullable=False),
    text_column("code_ending"),
    amount("face_minor"),
    # The sum of its entries, and the part of it that is set aside at checkouts.
    amount("balance_minor"),
    amount("held_minor"),
    text_column("currency"),
    # The price of the card: spent points, or money that the business took elsewhere.
    points("points_cost", nullable=True),
    amount("price_minor", nullable=True),
    # The reference of the sale in the caller's own system, and the reason of the issue.
    key_text("reference", nullable=True),
    text_column("reason", nullable=True),
    Column("sequence", Integer, nullable=False),
    # The hash of its newest entry: with it the chain has an end that cannot be cut off.
    digest("chain"),
    instant("issued_at"),
    # The first instant at which it cannot be spent; null is never.
    instant("expires_at", nullable=True),
    # When the spendable money expires; null while there is none, because all of it is held or spent.
    Column("due_at", INSTANT, Computed("CASE WHEN balance_minor > held_minor THEN expires_at END", persisted=True)),
    # When the next notice to its holder is due; null if none is due.
    instant("notice_at", nullable=True),
    instant("voided_at", nullable=True),
    text_column("actor_kind"),
    text_column("actor"),
    references("product_id", "gift_card_products"),
    references("buyer_id", "customers"),
    references("holder_id", "customers"),
    unique("code_hash"),
    one_of("origin", tuple(GiftCardOrigin)),
    check("face_minor", "face_minor > 0"),
    check("balance_minor", "balance_minor BETWEEN 0 AND face_minor"),
    check("held_minor", "held_minor BETWEEN 0 AND balance_minor"),
    check("points_cost", "(origin = 'POINTS') = (points_cost IS NOT NULL) AND points_cost > 0"),
    check("buyer", "origin <> 'POINTS' OR buyer_id IS NOT NULL"),
    check("price_minor", "price_minor >= 0 AND (price_minor IS NULL OR origin = 'MONEY')"),
    check("voided", "voided_at IS NULL OR balance_minor = 0"),
    index("gift_cards_issued_idx", "issued_at", "id"),
    index("gift_cards_holder_idx", "holder_id", "issued_at", "id", where=sql("holder_id IS NOT NULL")),
    index("gift_cards_buyer_idx", "buyer_id", "issued_at", "id", where=sql("buyer_id IS NOT NULL")),
    # Counts the sold cards of a product: a cancelled card goes back into the stock.
    index("gift_cards_sold_idx", "product_id", "buyer_id", where=sql("voided_at IS NULL AND product_id IS NOT NULL")),
    index("gift_cards_expiry_idx", "due_at", "id", where=sql("due_at IS NOT NULL")),
    due_index("gift_cards_due_at_idx", "due_at"),
    index("gift_cards_notice_idx", "notice_at", "id", where=sql("notice_at IS NOT NULL")),
    due_index("gift_cards_notice_at_idx", "notice_at"),
    of_tenants=True,
)

gift_card_holds = tenant_table(
    "gift_card_holds",
    identifier("id"),
    identifier("gift_card_id"),
    key_text("state"),
    amount("amount_minor"),
    text_column("currency"),
    # How much of it was captured, and how much of that was returned later. The rest went back when the hold ended.
    amount("captured_minor"),
    amount("returned_minor"),
    # The purchase that it pays for, by its natural key: it may be recorded later than the hold.
    key_text("purchase_kind", nullable=True),
    key_text("purchase_external_id", nullable=True),
    instant("expires_at"),
    instant("created_at"),
    instant("ended_at", nullable=True),
    text_column("actor_kind"),
    text_column("actor"),
    # The actor who captured or released it, and the reason of a release; null while active, and before it was stored.
    text_column("ended_actor_kind", nullable=True),
    text_column("ended_actor", nullable=True),
    text_column("ended_reason", nullable=True),
    # The external id of the location where it was made, else where it was captured, where somebody has told one.
    text_column("location", nullable=True),
    references("gift_card_id", "gift_cards"),
    one_of("state", tuple(HoldState)),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("amount_minor", "amount_minor > 0 AND captured_minor BETWEEN 0 AND amount_minor"),
    check("captured", "(state = 'CAPTURED') = (captured_minor > 0)"),
    check("returned_minor", "returned_minor BETWEEN 0 AND captured_minor"),
    check("ended", "(state = 'ACTIVE') = (ended_at IS NULL)"),
    check("purchase", "(purchase_kind IS NULL) = (purchase_external_id IS NULL)"),
    index("gift_card_holds_active_idx", "expires_at", "id", where=sql("state = 'ACTIVE'")),
    due_index("gift_card_holds_expires_at_idx", "expires_at", where="state = 'ACTIVE'"),
    index("gift_card_holds_card_idx", "gift_card_id", "created_at", "id"),
    index("gift_card_holds_purchase_idx", "purchase_kind", "purchase_external_id"),
)

gift_card_entries = tenant_table(
    "gift_card_entries",
    identifier("id"),
    identifier("gift_card_id"),
    Column("sequence", Integer, nullable=False),
    key_text("kind"),
    amount("amount_minor"),
    amount("balance_after_minor"),
    text_column("currency"),
    # The hold that was spent, or of which money came back.
    identifier("hold_id", nullable=True),
    # When the card expires from this entry on; only issue and extension say so.
    instant("expires_at", nullable=True),
    text_column("reason", nullable=True),
    instant("occurred_at"),
    text_column("actor_kind"),
    text_column("actor"),
    # SHA-256 over the hash of the card's entry before and all of the columns above (rules/gift_card.py).
    digest("hash"),
    # The SHA-256 of the reason where the person was erased: the hash covers that, so it can still be proved.
    Column("reason_hash", LargeBinary, nullable=True, info={FILLED_LATER: True}),
    check("erased", "num_nonnulls(reason, reason_hash) < 2"),
    references("gift_card_id", "gift_cards"),
    references("hold_id", "gift_card_holds"),
    unique("gift_card_id", "sequence"),
    one_of("kind", tuple(GiftCardEntryKind)),
    check("amount_minor", f"CASE WHEN kind IN ({quote(ADDS)}) THEN amount_minor >= 0 ELSE amount_minor <= 0 END"),
    check("moves", f"amount_minor <> 0 OR kind IN ({quote(MOVES_NOTHING)})"),
    check("balance_after_minor", "balance_after_minor >= 0"),
    check("hold", "(kind IN ('SPENT', 'RETURNED')) = (hold_id IS NOT NULL)"),
    check("expires_at", "expires_at IS NULL OR kind IN ('ISSUED', 'EXTENDED')"),
    # Each hold is spent once, and each card begins and is cancelled once.
    index("gift_card_entries_spent_key", "hold_id", where=sql("kind = 'SPENT'"), unique=True),
    index("gift_card_entries_once_key", "gift_card_id", "kind", where=sql("kind IN ('ISSUED', 'VOIDED')"), unique=True),
    index("gift_card_entries_hold_idx", "hold_id", where=sql("hold_id IS NOT NULL")),
)
