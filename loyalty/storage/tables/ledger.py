"""The ledger: entries, lots and what moved between them, the keys of calls, and the events."""

from sqlalchemy import BigInteger, Boolean, Column, Computed, Integer, LargeBinary, func
from sqlalchemy import text as sql

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.entry import EntryKind
from loyalty.rules.lots import LotState
from tenancy.table import (
    FILLED_LATER,
    INSTANT,
    check,
    digest,
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

entries = tenant_table(
    "entries",
    identifier("id"),
    identifier("customer_id"),
    Column("sequence", Integer, nullable=False),
    key_text("kind"),
    points("points"),
    points("balance_after"),
    # The object of the entry: the purchase or the adjustment that a reader may open.
    text_column("reference_kind"),
    identifier("reference_id"),
    # The cause and the phase of the entry, which exist once together: for example an accrual and its maturing.
    identifier("cause_id"),
    key_text("phase"),
    instant("occurred_at"),
    text_column("actor_kind"),
    text_column("actor"),
    # SHA-256 over the hash of the customer's entry before and all of the columns above (rules/entry.py).
    digest("hash"),
    # The actor's name and the reason, in the caller's words; null if the caller gave none.
    text_column("actor_name", nullable=True),
    text_column("reason", nullable=True),
    # The SHA-256 of each where the person was erased: the hash of the entry covers that, so it can still be proved.
    Column("actor_name_hash", LargeBinary, nullable=True, info={FILLED_LATER: True}),
    Column("reason_hash", LargeBinary, nullable=True, info={FILLED_LATER: True}),
    check("erased", "num_nonnulls(actor_name, actor_name_hash) < 2 AND num_nonnulls(reason, reason_hash) < 2"),
    references("customer_id", "customers"),
    unique("customer_id", "sequence"),
    unique("cause_id", "phase"),
    one_of("kind", tuple(EntryKind)),
    check("points", "points <> 0"),
    index("entries_customer_idx", "customer_id", "occurred_at", "id"),
    index("entries_reference_idx", "reference_id", "occurred_at", "id"),
    index("entries_report_idx", "occurred_at", "id", postgresql_include=["kind", "points", "customer_id"]),
)

lots = tenant_table(
    "lots",
    identifier("id"),
    identifier("customer_id"),
    identifier("entry_id"),
    # The origin of the points (accrual, adjustment ...); a lot that moves in a merge keeps it.
    identifier("cause_id"),
    points("original"),
    points("remaining"),
    points("held"),
    points("expired"),
    key_text("state"),
    instant("opened_at"),
    # The first instant at which the points cannot be spent; null is never.
    instant("expires_at", nullable=True),
    # The first value of expires_at. It never changes, while expires_at may move to a later time.
    instant("opened_expires_at", nullable=True),
    # When the rest expires; null while there is none, because all of it is held or spent.
    Column("due_at", INSTANT, Computed("CASE WHEN remaining > 0 THEN expires_at END", persisted=True)),
    # When the next notice to the customer is due; null if no further notice is due.
    instant("notice_at", nullable=True),
    # If set, each earning and each redemption moves the expiry to so many days later.
    Column("inactivity_days", Integer, nullable=True),
    references("customer_id", "customers"),
    references("entry_id", "entries"),
    one_of("state", tuple(LotState)),
    check("inactivity_days", "inactivity_days > 0"),
    check("original", "original > 0"),
    check("remaining", "remaining >= 0 AND held >= 0 AND expired >= 0 AND remaining + held + expired <= original"),
    index("lots_open_idx", "customer_id", "expires_at", "opened_at", where=sql("state = 'OPEN'")),
    index("lots_customer_idx", "customer_id", "opened_at", "id"),
    index("lots_entry_idx", "entry_id"),
    index("lots_expiry_idx", "due_at", "id", where=sql("due_at IS NOT NULL")),
    index("lots_notice_idx", "notice_at", "id", where=sql("state = 'OPEN' AND notice_at IS NOT NULL")),
    due_index("lots_due_at_idx", "due_at"),
    due_index("lots_notice_at_idx", "notice_at", where="state = 'OPEN' AND notice_at IS NOT NULL"),
)

expiry_notices = tenant_table(
    "expiry_notices",
    identifier("lot_id"),
    # If the expiry moves, there is another notice for the new date.
    instant("expires_at"),
    Column("days_before", Integer, nullable=False),
    instant("told_at"),
    references("lot_id", "lots"),
    check("days_before", "days_before > 0"),
    check("told_at", "told_at < expires_at"),
    key=("lot_id", "expires_at", "days_before"),
)

allocations = tenant_table(
    "allocations",
    identifier("entry_id"),
    identifier("lot_id"),
    # The cause of the allocation: the entry itself, or the hold whose release paid a debt of the entry.
    identifier("settled_by"),
    # The customer of the entry and of the lot, so that each can be compared without reading the other.
    identifier("customer_id"),
    points("points"),
    instant("taken_at"),
    references("entry_id", "entries"),
    references("lot_id", "lots"),
    # Below zero where an entry gives points back to a lot.
    check("points", "points <> 0"),
    index("allocations_lot_idx", "lot_id"),
    key=("entry_id", "lot_id", "settled_by"),
)

adjustments = tenant_table(
    "adjustments",
    identifier("id"),
    identifier("customer_id"),
    points("points"),
    points("requested_points"),
    text_column("reason"),
    text_column("internal_note", nullable=True),
    text_column("customer_description", nullable=True),
    Column("qualifying", Boolean, nullable=False),
    text_column("actor_kind"),
    text_column("actor"),
    text_column("actor_subject"),
    instant("created_at"),
    # The external id of the location where it was made, where somebody has told one.
    text_column("location", nullable=True),
    references("customer_id", "customers"),
    one_of("reason", tuple(AdjustmentReason)),
    check("points", "(points > 0 AND requested_points >= points) OR (points < 0 AND requested_points <= points)"),
    index("adjustments_customer_idx", "customer_id", "created_at", "id"),
    index("adjustments_created_idx", "created_at", "id"),
    index("adjustments_location_idx", "location", "created_at", "id", where=sql("location IS NOT NULL")),
)

idempotency_keys = tenant_table(
    "idempotency_keys",
    key_text("key"),
    text_column("operation"),
    # The client to whom the key belongs: `Actor.client`. Empty for a key from before keys had an owner.
    key_text("client"),
    text_column("fingerprint"),
    identifier("result_id"),
    instant("created_at"),
    key=("key", "operation", "client"),
    of_tenants=True,
)

events = tenant_table(
    "events",
    identifier("id"),
    # Given by the relay once the event is committed: gapless per tenant, the order every reader sees.
    Column("position", BigInteger, nullable=True, info={FILLED_LATER: True}),
    text_column("kind"),
    # The kind of its subject. If `subject_id` is empty, the subject is the customer.
    key_text("subject_kind"),
    identifier("subject_id", nullable=True),
    # The customer who is told of it: its subject, or the holder of the gift card at that time.
    identifier("customer_id", nullable=True),
    # The entry that the event tells of, where it tells of one: each is told once.
    identifier("entry_id", nullable=True),
    document("payload"),
    instant("occurred_at"),
    Column("recorded_at", INSTANT, nullable=False, server_default=func.clock_timestamp()),
    references("customer_id", "customers"),
    references("entry_id", "entries"),
    unique("position"),
    unique("entry_id"),
    check(
        "subject",
        "CASE subject_kind WHEN 'CUSTOMER' THEN customer_id IS NOT NULL AND subject_id IS NULL ELSE true END",
    ),
    index(
        "events_subject_idx",
        "subject_kind",
        "subject_id",
        "position",
        where=sql("position IS NOT NULL AND subject_id IS NOT NULL"),
    ),
    index("events_customer_idx", "customer_id", "position", where=sql("position IS NOT NULL")),
    index("events_unpositioned_idx", "recorded_at", "id", where=sql("position IS NULL")),
)

event_positions = tenant_table(
    "event_positions",
    Column("last_position", BigInteger, nullable=False),
    key=(),
    of_tenants=True,
)
