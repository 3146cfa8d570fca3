"""Every table of a tenant's loyalty program.

The ledger (entries, allocations, adjustments, facts, versions, tier changes, keys) only grows: the application role
has no UPDATE and no DELETE on it. Accounts and lots are its cached sums, provable from it at any moment.
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, SmallInteger, func
from sqlalchemy import text as sql

from loyalty.rules.accrual import AccrualState
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.earning import CatalogKind
from loyalty.rules.entry import EntryKind
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from tenancy.table import (
    FILLED_LATER,
    INSTANT,
    amount,
    check,
    document,
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

LOT_STATES = ("OPEN", "EXHAUSTED", "EXPIRED")
JOB_STATES = ("WAITING", "RUNNING", "DONE", "FAILED")

# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

programs = tenant_table(
    "programs",
    Column("enabled", Boolean, nullable=False),
    document("settings"),
    # `version` counts edits of the settings; `config_version` also edits of rules, tiers and catalogue, and is what
    # a process compares with what it has compiled.
    Column("version", Integer, nullable=False),
    Column("config_version", Integer, nullable=False),
    instant("updated_at"),
    key=(),
    of_tenants=True,
)

program_versions = tenant_table(
    "program_versions",
    Column("version", Integer, nullable=False),
    document("settings"),
    instant("created_at"),
    text_column("created_by"),
    key=("version",),
    of_tenants=True,
)

catalog_items = tenant_table(
    "catalog_items",
    key_text("kind"),
    key_text("external_id"),
    text_column("name"),
    key_text("category", nullable=True),
    text_column("time_zone", nullable=True),
    Column("enrolled", Boolean, nullable=False),
    points("points_per_unit", nullable=True),
    instant("updated_at"),
    one_of("kind", tuple(CatalogKind)),
    check("points_per_unit", "points_per_unit > 0"),
    key=("kind", "external_id"),
    of_tenants=True,
)

earning_rules = tenant_table(
    "earning_rules",
    identifier("id"),
    text_column("name"),
    Column("priority", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    document("award"),
    document("conditions"),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    instant("deleted_at", nullable=True),
    check("window", "ends_at > starts_at"),
    index("earning_rules_listed_idx", "priority", "id", where=sql("deleted_at IS NULL")),
    of_tenants=True,
)

earning_rule_versions = tenant_table(
    "earning_rule_versions",
    identifier("rule_id"),
    Column("version", Integer, nullable=False),
    text_column("name"),
    Column("priority", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    document("award"),
    document("conditions"),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    instant("created_at"),
    text_column("created_by"),
    references("rule_id", "earning_rules"),
    key=("rule_id", "version"),
)

tiers = tenant_table(
    "tiers",
    identifier("id"),
    text_column("name"),
    key_text("name_key"),
    text_column("color"),
    points("min_points"),
    instant("created_at"),
    instant("updated_at"),
    instant("deleted_at", nullable=True),
    check("min_points", "min_points >= 0"),
    index("tiers_name_key", "name_key", where=sql("deleted_at IS NULL"), unique=True),
    index("tiers_min_points_key", "min_points", where=sql("deleted_at IS NULL"), unique=True),
    of_tenants=True,
)

# ── customers ────────────────────────────────────────────────────────────────────────────────────────────────────

customers = tenant_table(
    "customers",
    identifier("id"),
    key_text("external_id"),
    text_column("full_name"),
    key_text("email", nullable=True),
    text_column("avatar_url", nullable=True),
    text_column("locale", nullable=True),
    text_column("category", nullable=True),
    # Null: never asked, which is no.
    Column("marketing_consent", Boolean, nullable=True),
    # Case-folded, so that a prefix search with ^@ finds "Müller" as "muller" too.
    key_text("search_name"),
    key_text("search_family_name"),
    instant("created_at"),
    instant("updated_at"),
    unique("external_id"),
    index("customers_email_idx", "email"),
    index("customers_name_idx", "search_name", "id"),
    index("customers_family_name_idx", "search_family_name"),
    of_tenants=True,
)

accounts = tenant_table(
    "accounts",
    identifier("customer_id"),
    points("available"),
    points("pending"),
    points("held"),
    points("debt"),
    points("lifetime_earned"),
    points("qualifying"),
    identifier("tier_id", nullable=True),
    Column("sequence", Integer, nullable=False),
    instant("updated_at"),
    references("customer_id", "customers"),
    references("tier_id", "tiers"),
    *(check(name, f"{name} >= 0") for name in ("available", "pending", "held", "debt", "lifetime_earned")),
    # Debt is paid by the next credit, so nobody owes points and has some to spend.
    check("debt_first", "debt = 0 OR available = 0"),
    index("accounts_available_idx", "available", "customer_id"),
    index("accounts_tier_idx", "tier_id"),
    key=("customer_id",),
)

tier_changes = tenant_table(
    "tier_changes",
    identifier("id"),
    identifier("customer_id"),
    identifier("from_tier_id", nullable=True),
    identifier("to_tier_id", nullable=True),
    Column("upgraded", Boolean, nullable=False),
    text_column("cause"),
    # The purchase or adjustment that moved the points, null when the tiers themselves changed.
    identifier("cause_id", nullable=True),
    points("qualifying"),
    instant("changed_at"),
    references("customer_id", "customers"),
    references("from_tier_id", "tiers"),
    references("to_tier_id", "tiers"),
    index("tier_changes_customer_idx", "customer_id", "id"),
    index("tier_changes_cause_idx", "cause_id"),
)

# ── purchases ────────────────────────────────────────────────────────────────────────────────────────────────────

purchases = tenant_table(
    "purchases",
    identifier("id"),
    key_text("kind"),
    key_text("external_id"),
    identifier("customer_id"),
    key_text("status"),
    Column("version", Integer, nullable=False),
    # A purchase that comes back to life after a cancellation earns anew, as its next generation.
    Column("generation", SmallInteger, nullable=False),
    amount("total_minor"),
    text_column("currency"),
    document("lines"),
    text_column("location", nullable=True),
    text_column("staff", nullable=True),
    instant("booked_at", nullable=True),
    instant("starts_at", nullable=True),
    instant("ends_at", nullable=True),
    # When the newest status came about in the caller's system, as far as it tells.
    instant("occurred_at", nullable=True),
    instant("recorded_at"),
    instant("updated_at"),
    references("customer_id", "customers"),
    unique("kind", "external_id"),
    one_of("kind", tuple(PurchaseKind)),
    one_of("status", tuple(PurchaseStatus)),
    index("purchases_customer_idx", "customer_id", "id"),
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
    references("purchase_id", "purchases"),
    unique("purchase_id", "fingerprint"),
    key=("purchase_id", "version"),
)

accruals = tenant_table(
    "accruals",
    identifier("id"),
    identifier("purchase_id"),
    identifier("customer_id"),
    Column("generation", SmallInteger, nullable=False),
    key_text("state"),
    points("points"),
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
    references("purchase_id", "purchases"),
    references("customer_id", "customers"),
    unique("purchase_id", "generation"),
    one_of("state", tuple(AccrualState)),
    check("points", "points >= 0"),
    check("reversed_points", "reversed_points BETWEEN 0 AND points"),
    index("accruals_due_idx", "matures_at", where=sql("state = 'PENDING'")),
)

# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────────────────

entries = tenant_table(
    "entries",
    identifier("id"),
    identifier("customer_id"),
    Column("sequence", Integer, nullable=False),
    key_text("kind"),
    points("points"),
    points("balance_after"),
    # What the entry is about: the purchase or the adjustment a reader may open.
    text_column("reference_kind"),
    identifier("reference_id"),
    # What makes it happen only once: the accrual, adjustment or redemption behind it, and the step of its life.
    identifier("cause_id"),
    key_text("phase"),
    instant("occurred_at"),
    text_column("actor_kind"),
    text_column("actor"),
    references("customer_id", "customers"),
    unique("customer_id", "sequence"),
    unique("cause_id", "phase"),
    one_of("kind", tuple(EntryKind)),
    check("points", "points <> 0"),
    index("entries_customer_idx", "customer_id", "occurred_at", "id"),
    index("entries_report_idx", "occurred_at", "id", postgresql_include=["kind", "points", "customer_id"]),
)

lots = tenant_table(
    "lots",
    identifier("id"),
    identifier("customer_id"),
    identifier("entry_id"),
    points("original"),
    points("remaining"),
    points("held"),
    points("expired"),
    key_text("state"),
    instant("opened_at"),
    instant("expires_at", nullable=True),
    references("customer_id", "customers"),
    references("entry_id", "entries"),
    one_of("state", LOT_STATES),
    check("original", "original > 0"),
    check("remaining", "remaining >= 0 AND held >= 0 AND expired >= 0 AND remaining + held + expired <= original"),
    index("lots_open_idx", "customer_id", "expires_at", "opened_at", where=sql("state = 'OPEN'")),
)

allocations = tenant_table(
    "allocations",
    identifier("entry_id"),
    identifier("lot_id"),
    points("points"),
    references("entry_id", "entries"),
    references("lot_id", "lots"),
    check("points", "points > 0"),
    index("allocations_lot_idx", "lot_id"),
    key=("entry_id", "lot_id"),
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
    references("customer_id", "customers"),
    one_of("reason", tuple(AdjustmentReason)),
)

idempotency_keys = tenant_table(
    "idempotency_keys",
    key_text("key"),
    text_column("operation"),
    text_column("fingerprint"),
    identifier("result_id"),
    instant("created_at"),
    key=("key",),
    of_tenants=True,
)

# ── events, jobs, credentials ────────────────────────────────────────────────────────────────────────────────────

events = tenant_table(
    "events",
    identifier("id"),
    # Given by the relay once the event is committed: gapless per tenant, the order every reader sees.
    Column("position", BigInteger, nullable=True, info={FILLED_LATER: True}),
    text_column("kind"),
    identifier("customer_id"),
    document("payload"),
    instant("occurred_at"),
    Column("recorded_at", INSTANT, nullable=False, server_default=func.clock_timestamp()),
    references("customer_id", "customers"),
    unique("position"),
    index("events_unpositioned_idx", "recorded_at", "id", where=sql("position IS NULL")),
)

event_positions = tenant_table(
    "event_positions",
    Column("last_position", BigInteger, nullable=False),
    key=(),
    of_tenants=True,
)

jobs = tenant_table(
    "jobs",
    identifier("id"),
    text_column("kind"),
    key_text("state"),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    identifier("cursor", nullable=True),
    text_column("problem", nullable=True),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", JOB_STATES),
    index("jobs_due_idx", "created_at", where=sql("state IN ('WAITING', 'RUNNING')")),
    of_tenants=True,
)

api_tokens = tenant_table(
    "api_tokens",
    identifier("id"),
    text_column("name"),
    document("permissions"),
    instant("created_at"),
    text_column("created_by"),
    instant("expires_at", nullable=True),
    instant("revoked_at", nullable=True),
    instant("last_used_at", nullable=True),
    of_tenants=True,
)
