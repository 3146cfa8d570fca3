"""Purchases, what they give, and what was refunded."""

from sqlalchemy import Column, Integer, LargeBinary, SmallInteger
from sqlalchemy import text as sql

from loyalty.rules.accrual import AccrualState
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from tenancy.table import (
    FILLED_LATER,
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

purchases = tenant_table(
    "purchases",
    identifier("id"),
    key_text("kind"),
    key_text("external_id"),
    identifier("customer_id"),
    key_text("status"),
    Column("version", Integer, nullable=False),
    # A purchase that comes back to life after a cancellation earns again, as its next generation.
    Column("generation", SmallInteger, nullable=False),
    amount("total_minor"),
    # The refunded part of the total; the single refunds are in purchase_refunds.
    amount("refunded_minor"),
    text_column("currency"),
    document("lines"),
    # The reported total, if its currency is not the program's: currency, rate, minor units.
    document("exchange", nullable=True),
    # The payments in its reports; null if no report had any. Payments by holds and redemptions are stored there.
    document("payments", nullable=True),
    text_column("location", nullable=True),
    text_column("staff", nullable=True),
    instant("booked_at", nullable=True),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    # When the newest status happened in the caller's system, if the report has a time.
    instant("occurred_at", nullable=True),
    # When each fact was last told, by name; null where its report told no time (rules/purchase_report.py).
    document("told_at"),
    # When the rules will be evaluated, while that waits for the end of the service; null otherwise.
    instant("evaluates_at", nullable=True),
    instant("recorded_at"),
    instant("updated_at"),
    references("customer_id", "customers"),
    unique("kind", "external_id"),
    one_of("kind", tuple(PurchaseKind)),
    one_of("status", tuple(PurchaseStatus)),
    check("refunded_minor", "refunded_minor BETWEEN 0 AND total_minor"),
    index("purchases_customer_idx", "customer_id", "recorded_at", "id"),
    index("purchases_recorded_idx", "recorded_at", "id"),
    index("purchases_location_idx", "location", "recorded_at", "id", where=sql("location IS NOT NULL")),
    index("purchases_evaluation_idx", "evaluates_at", "id", where=sql("evaluates_at IS NOT NULL")),
    due_index("purchases_evaluates_at_idx", "evaluates_at"),
)

purchase_facts = tenant_table(
    "purchase_facts",
    identifier("purchase_id"),
    Column("version", Integer, nullable=False),
    key_text("fingerprint"),
    text_column("status"),
    document("facts"),
    instant("recorded_at"),
    text_column("recorded_by"),
    # The idempotency key of the report, where it had one, and the client whose key it is.
    key_text("report_key", nullable=True),
    key_text("report_client", nullable=True),
    # The fingerprint of the known facts after this report; null in rows of earlier releases.
    key_text("state_mark", nullable=True),
    # SHA-256 over all of the columns above (`fact_digest` in storage/purchases.py); the database computes it.
    Column("digest", LargeBinary, nullable=False, info={FILLED_LATER: True}),
    # The kind and the name of the actor who recorded it; null before they were stored.
    text_column("actor_kind", nullable=True),
    text_column("actor_name", nullable=True),
    references("purchase_id", "purchases"),
    unique("purchase_id", "report_key", "report_client", name="purchase_facts_report_key"),
    index("purchase_facts_fingerprint_idx", "purchase_id", "fingerprint"),
    key=("purchase_id", "version"),
)

purchase_refunds = tenant_table(
    "purchase_refunds",
    identifier("id"),
    identifier("purchase_id"),
    identifier("customer_id"),
    # Counts the refunds of one purchase from 1.
    Column("number", Integer, nullable=False),
    amount("amount_minor"),
    # The positions of the refunded lines; empty for an amount that belongs to no line.
    document("lines"),
    # Signed: what this refund took from the customer's points, pending ones included.
    points("points"),
    # The part of it that points had paid: how many, and what they had taken off. Null in what releases before have
    # written, which kept neither.
    points("point_share", nullable=True),
    amount("point_share_minor", nullable=True),
    # The part of these points that went back in the same transaction.
    points("returned_points"),
    amount("returned_minor"),
    text_column("reason", nullable=True),
    instant("occurred_at", nullable=True),
    instant("recorded_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("purchase_id", "purchases"),
    references("customer_id", "customers"),
    unique("purchase_id", "number"),
    # 0 for lines that cost nothing.
    check("amount_minor", "amount_minor >= 0"),
    check("points", "points <= 0"),
    check("point_share", "point_share >= 0 AND point_share_minor BETWEEN 0 AND amount_minor"),
    check("returned_points", "returned_points >= 0 AND returned_minor >= 0"),
)

accruals = tenant_table(
    "accruals",
    identifier("id"),
    identifier("purchase_id"),
    identifier("customer_id"),
    Column("generation", SmallInteger, nullable=False),
    key_text("state"),
    points("points"),
    # The points lost while they were pending, and the points taken back after they were credited.
    points("voided_points"),
    points("reversed_points"),
    text_column("currency"),
    document("breakdown"),
    # The accrual policy at the evaluation: a later edit of the settings changes nothing for this purchase.
    document("policy"),
    Column("program_version", Integer, nullable=False),
    Column("config_version", Integer, nullable=False),
    instant("evaluated_at"),
    instant("matures_at", nullable=True),
    instant("matured_at", nullable=True),
    # How far its points raised the standing when they came, less what was taken of that; null in what earlier releases
    # have credited.
    points("raised_standing", nullable=True),
    # The sums of its entries: the credited points, and the points taken back.
    points("earned_points"),
    points("taken_points"),
    # Counts its valuations from 1; the former ones are in former_valuations.
    Column("valuation", Integer, nullable=False),
    # What points had paid at the newest valuation; null if an earlier release did not count it.
    amount("points_paid_minor", nullable=True),
    # The same for gift cards.
    amount("cards_paid_minor", nullable=True),
    # What later valuations take from the evaluation: its moment, the tier, the category of the customer. Null in what
    # earlier releases have evaluated, which stays as it was told.
    document("frozen", nullable=True),
    references("purchase_id", "purchases"),
    references("customer_id", "customers"),
    unique("purchase_id", "generation"),
    one_of("state", tuple(AccrualState)),
    check("points", "points >= 0"),
    check("voided_points", "voided_points BETWEEN 0 AND points"),
    check("reversed_points", "reversed_points BETWEEN 0 AND points - voided_points"),
    index("accruals_due_idx", "matures_at", "id", where=sql("state = 'PENDING'")),
    due_index("accruals_matures_at_idx", "matures_at", where="state = 'PENDING'"),
)

former_valuations = tenant_table(
    "former_valuations",
    identifier("accrual_id"),
    # The number of the valuation.
    Column("number", Integer, nullable=False),
    points("points"),
    document("breakdown"),
    amount("points_paid_minor", nullable=True),
    amount("cards_paid_minor", nullable=True),
    # When the next valuation took its place.
    instant("replaced_at"),
    text_column("replaced_by"),
    references("accrual_id", "accruals"),
    check("number", "number > 0"),
    check("points", "points >= 0"),
    key=("accrual_id", "number"),
)
