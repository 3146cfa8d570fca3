"""Checkouts: points that are set aside, spent and given back."""

from sqlalchemy import Column, Integer
from sqlalchemy import text as sql

from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import CaptureOn, HoldState
from tenancy.table import (
    amount,
    check,
    document,
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

checkouts = tenant_table(
    "checkouts",
    key_text("purchase_kind"),
    key_text("purchase_external_id"),
    # Each hold for the purchase raises the version. If two holds read the same version, one of them begins again.
    Column("version", Integer, nullable=False),
    instant("opened_at"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("version", "version > 0"),
    key=("purchase_kind", "purchase_external_id"),
    of_tenants=True,
)

holds = tenant_table(
    "holds",
    identifier("id"),
    identifier("customer_id"),
    key_text("state"),
    points("points"),
    # How many of the points were captured; the rest went back.
    points("captured_points"),
    # The worth of all the points, and its ratio: a later edit of the settings changes neither.
    amount("discount_minor"),
    text_column("currency"),
    points("value_points"),
    amount("value_minor"),
    # The purchase that the points pay for, by its natural key: it may be recorded later than the hold.
    key_text("purchase_kind", nullable=True),
    key_text("purchase_external_id", nullable=True),
    # The points that went back early because the purchase became smaller. At most the rest can be captured.
    points("lowered_points"),
    instant("lowered_at", nullable=True),
    # The limits of the discount when the points were set aside; null for a hold from before limits were kept.
    document("terms", nullable=True),
    # The way in which the points are spent: by a call, or by recording the payment.
    key_text("capture_on"),
    instant("expires_at"),
    instant("created_at"),
    instant("ended_at", nullable=True),
    text_column("actor_kind"),
    text_column("actor"),
    # The actor who captured or released it; null while it is active, and before actors were stored.
    text_column("ended_actor_kind", nullable=True),
    text_column("ended_actor", nullable=True),
    # Why it was released, as the caller put it.
    text_column("ended_reason", nullable=True),
    # The external id of the location where it was made, else where it was captured, where somebody has told one.
    text_column("location", nullable=True),
    references("customer_id", "customers"),
    one_of("state", tuple(HoldState)),
    one_of("capture_on", tuple(CaptureOn)),
    check("lowered_points", "lowered_points BETWEEN 0 AND points - 1"),
    check("lowered_at", "(lowered_points > 0) = (lowered_at IS NOT NULL)"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("points", "points > 0 AND captured_points BETWEEN 0 AND points"),
    check("captured", "(state = 'CAPTURED') = (captured_points > 0)"),
    check("discount_minor", "discount_minor >= 0"),
    check("value", "value_points > 0 AND value_minor > 0"),
    check("ended", "(state = 'ACTIVE') = (ended_at IS NULL)"),
    check("purchase", "(purchase_kind IS NULL) = (purchase_external_id IS NULL)"),
    index("holds_active_idx", "expires_at", "id", where=sql("state = 'ACTIVE'")),
    due_index("holds_expires_at_idx", "expires_at", where="state = 'ACTIVE'"),
    index("holds_customer_idx", "customer_id", "created_at", "id"),
    index("holds_created_idx", "created_at", "id"),
    index("holds_location_idx", "location", "created_at", "id", where=sql("location IS NOT NULL")),
    index("holds_purchase_idx", "purchase_kind", "purchase_external_id"),
)

hold_lots = tenant_table(
    "hold_lots",
    identifier("hold_id"),
    identifier("lot_id"),
    identifier("customer_id"),
    points("points"),
    # The part of the points that went back early.
    points("lowered_points"),
    references("hold_id", "holds"),
    references("lot_id", "lots"),
    check("points", "points > 0"),
    check("lowered_points", "lowered_points BETWEEN 0 AND points"),
    index("hold_lots_lot_idx", "lot_id"),
    key=("hold_id", "lot_id"),
)

redemptions = tenant_table(
    "redemptions",
    identifier("id"),
    identifier("hold_id"),
    identifier("customer_id"),
    points("points"),
    points("returned_points"),
    amount("discount_minor"),
    text_column("currency"),
    key_text("purchase_kind", nullable=True),
    key_text("purchase_external_id", nullable=True),
    instant("redeemed_at"),
    text_column("actor_kind"),
    text_column("actor"),
    # The location of its hold.
    text_column("location", nullable=True),
    references("hold_id", "holds"),
    references("customer_id", "customers"),
    unique("hold_id"),
    one_of("purchase_kind", tuple(PurchaseKind)),
    check("points", "points > 0 AND returned_points BETWEEN 0 AND points"),
    check("discount_minor", "discount_minor >= 0"),
    check("purchase", "(purchase_kind IS NULL) = (purchase_external_id IS NULL)"),
    index("redemptions_customer_idx", "customer_id", "redeemed_at", "id"),
    index("redemptions_redeemed_idx", "redeemed_at", "id"),
    index("redemptions_location_idx", "location", "redeemed_at", "id", where=sql("location IS NOT NULL")),
    index("redemptions_purchase_idx", "purchase_kind", "purchase_external_id"),
)

redemption_returns = tenant_table(
    "redemption_returns",
    identifier("id"),
    identifier("redemption_id"),
    identifier("customer_id"),
    points("points"),
    amount("discount_minor"),
    # The part that an earlier refund still had to give back. Points that a refund itself gives back are in the refund.
    points("refunded_points"),
    amount("refunded_minor"),
    text_column("reason", nullable=True),
    instant("returned_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("redemption_id", "redemptions"),
    references("customer_id", "customers"),
    check("points", "points > 0"),
    check("discount_minor", "discount_minor >= 0"),
    check("refunded", "refunded_points BETWEEN 0 AND points AND refunded_minor BETWEEN 0 AND discount_minor"),
    index("redemption_returns_redemption_idx", "redemption_id"),
)
