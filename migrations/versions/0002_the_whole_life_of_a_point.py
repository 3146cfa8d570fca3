"""Tables and columns for the whole life of a point: checkout, refunds, expiry, tier windows, merges, chained entries.

Revision ID: 0002
Revises: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP, visible_to_relay, wall

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APP_RIGHTS = {
    "purchase_refunds": "SELECT, INSERT",
    "expiry_notices": "SELECT, INSERT",
    "holds": "SELECT, INSERT, UPDATE (state, captured_points, ended_at)",
    "hold_lots": "SELECT, INSERT",
    "redemptions": "SELECT, INSERT, UPDATE (returned_points)",
    "redemption_returns": "SELECT, INSERT",
    "customer_merges": "SELECT, INSERT",
    "opening_balances": "SELECT, INSERT",
}

MORE_RIGHTS = {
    "tenants": "UPDATE (clock_advance_seconds)",
    "accruals": "UPDATE (customer_id, voided_points)",
    "lots": "UPDATE (expires_at, notice_at)",
}

# What else the relay looks at across tenants, to know where work is due: times and states, never points.
RELAY_RIGHTS = {
    "accounts": "SELECT (tenant_id, tier_review_at)",
    "holds": "SELECT (tenant_id, state, expires_at)",
    "lots": "SELECT (tenant_id, state, due_at, notice_at)",
    "purchases": "SELECT (tenant_id, evaluates_at)",
}

REWRITTEN = (
    "accounts",
    "accruals",
    "allocations",
    "customers",
    "entries",
    "events",
    "lots",
    "purchases",
    "tenants",
    "tier_changes",
)
"""Tables with rows to fill in. Forced RLS hides the rows from their owner too, so it is off meanwhile."""

ENTRY_TEXT = """
    concat_ws('|', e.id, e.customer_id, e.sequence, e.kind, e.points, e.balance_after, e.reference_kind,
              e.reference_id, e.cause_id, e.phase, (extract(epoch FROM e.occurred_at) * 1000000)::bigint,
              e.actor_kind, e.actor)
"""

CHAIN = f"""
    WITH RECURSIVE chained AS (
        SELECT e.tenant_id, e.customer_id, e.sequence, e.id,
               sha256(decode(repeat('00', 32), 'hex') || convert_to({ENTRY_TEXT}, 'UTF8')) AS hash
        FROM entries e WHERE e.sequence = 1
        UNION ALL
        SELECT e.tenant_id, e.customer_id, e.sequence, e.id, sha256(c.hash || convert_to({ENTRY_TEXT}, 'UTF8'))
        FROM chained c JOIN entries e
          ON (e.tenant_id, e.customer_id, e.sequence) = (c.tenant_id, c.customer_id, c.sequence + 1)
    )
    UPDATE entries SET hash = chained.hash FROM chained
    WHERE (entries.tenant_id, entries.id) = (chained.tenant_id, chained.id)
"""  # noqa: S608 - made of constants

BACKFILLS = (
    CHAIN,
    """
    UPDATE accounts a SET chain = e.hash FROM entries e
    WHERE (e.tenant_id, e.customer_id, e.sequence) = (a.tenant_id, a.customer_id, a.sequence)
    """,
    """
    UPDATE accounts SET standing = qualifying
    """,
    """
    UPDATE lots l SET cause_id = e.cause_id FROM entries e
    WHERE (e.tenant_id, e.id) = (l.tenant_id, l.entry_id)
    """,
    """
    UPDATE accruals SET voided_points = points WHERE state = 'VOIDED'
    """,
    """
    UPDATE allocations SET settled_by = entry_id
    """,
    """
    UPDATE events v SET entry_id = e.id FROM entries e
    WHERE v.tenant_id = e.tenant_id AND e.id::text = v.payload->>'entry_id'
    """,
)


def upgrade() -> None:
    """Apply this revision."""
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    _add_columns()
    _create_tables()
    for backfill in BACKFILLS:
        op.execute(backfill)
    _constrain()
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table, rights in APP_RIGHTS.items():
        for statement in wall(table, app=rights):
            op.execute(statement)
    for table, rights in MORE_RIGHTS.items():
        op.execute(f"GRANT {rights} ON {table} TO {APP}")
    for table, rights in RELAY_RIGHTS.items():
        for statement in visible_to_relay(table, rights=rights):
            op.execute(statement)


def downgrade() -> None:
    """Refuse: the older tables have no place for points that were held, redeemed or refunded since."""
    message = "what happened since cannot be told in the older tables"
    raise NotImplementedError(message)


def _add_columns() -> None:
    """Add new columns, filled with the values that hold for rows from before."""
    no_entry = sa.text("decode(repeat('00', 32), 'hex')")
    no_id = sa.text("'00000000-0000-0000-0000-000000000000'")
    nothing = sa.text("0")
    no = sa.text("false")
    filled: tuple[tuple[str, sa.Column[Any]], ...] = (
        ("accounts", sa.Column("chain", sa.LargeBinary(), nullable=False, server_default=no_entry)),
        ("accounts", sa.Column("window_points", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("accounts", sa.Column("previous_window_points", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("accounts", sa.Column("standing", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("accounts", sa.Column("standing_by", sa.Text(), nullable=False, server_default="LIFETIME_EARNED")),
        ("accounts", sa.Column("closed", sa.Boolean(), nullable=False, server_default=no)),
        ("accounts", sa.Column("tier_locked", sa.Boolean(), nullable=False, server_default=no)),
        ("accruals", sa.Column("voided_points", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("allocations", sa.Column("settled_by", sa.Uuid(), nullable=False, server_default=no_id)),
        ("entries", sa.Column("hash", sa.LargeBinary(), nullable=False, server_default=no_entry)),
        ("lots", sa.Column("cause_id", sa.Uuid(), nullable=False, server_default=no_id)),
        ("purchases", sa.Column("refunded_minor", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("tenants", sa.Column("sandbox", sa.Boolean(), nullable=False, server_default=no)),
        ("tenants", sa.Column("clock_advance_seconds", sa.BigInteger(), nullable=False, server_default=nothing)),
        ("tier_changes", sa.Column("actor", sa.Text(), nullable=False, server_default="unknown")),
    )
    for table, column in filled:
        op.add_column(table, column)
        op.alter_column(table, column.name, server_default=None)
    instant = sa.DateTime(timezone=True)
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    empty = (
        ("accounts", sa.Column("window_started_at", instant, nullable=True)),
        ("accounts", sa.Column("tier_review_at", instant, nullable=True)),
        ("accounts", sa.Column("tier_locked_until", instant, nullable=True)),
        ("customers", sa.Column("merged_into", sa.Uuid(), nullable=True)),
        ("events", sa.Column("entry_id", sa.Uuid(), nullable=True)),
        ("lots", sa.Column("notice_at", instant, nullable=True)),
        (
            "lots",
            sa.Column("due_at", instant, sa.Computed("CASE WHEN remaining > 0 THEN expires_at END", persisted=True)),
        ),
        ("lots", sa.Column("inactivity_days", sa.Integer(), nullable=True)),
        ("earning_rules", sa.Column("expiry", document, nullable=True)),
        ("earning_rule_versions", sa.Column("expiry", document, nullable=True)),
        ("purchases", sa.Column("evaluates_at", instant, nullable=True)),
        ("tier_changes", sa.Column("note", sa.Text(), nullable=True)),
        ("tiers", sa.Column("factor_numerator", sa.BigInteger(), nullable=True)),
        ("tiers", sa.Column("factor_denominator", sa.BigInteger(), nullable=True)),
    )
    for table, column in empty:
        op.add_column(table, column)


def _constrain() -> None:
    """Create keys, references, checks and indexes on tables from before."""
    op.create_foreign_key(
        op.f("customers_customers_tenant_id_merged_into_fkey"),
        "customers",
        "customers",
        ["tenant_id", "merged_into"],
        ["tenant_id", "id"],
    )
    op.create_foreign_key(
        op.f("events_entries_tenant_id_entry_id_fkey"),
        "events",
        "entries",
        ["tenant_id", "entry_id"],
        ["tenant_id", "id"],
    )
    op.create_unique_constraint(op.f("events_tenant_id_entry_id_key"), "events", ["tenant_id", "entry_id"])
    op.drop_constraint(op.f("allocations_points_check"), "allocations")
    op.drop_constraint(op.f("allocations_pkey"), "allocations")
    op.create_primary_key(op.f("allocations_pkey"), "allocations", ["tenant_id", "entry_id", "lot_id", "settled_by"])
    op.drop_constraint(op.f("accruals_reversed_points_check"), "accruals")
    checks = (
        ("accounts", "closed", "NOT closed OR (available = 0 AND pending = 0 AND held = 0 AND debt = 0)"),
        ("accruals", "reversed_points", "reversed_points BETWEEN 0 AND points - voided_points"),
        ("accruals", "voided_points", "voided_points BETWEEN 0 AND points"),
        (
            "adjustments",
            "points",
            "(points > 0 AND requested_points >= points) OR (points < 0 AND requested_points <= points)",
        ),
        ("allocations", "points", "points <> 0"),
        ("customers", "merged_into", "merged_into <> id"),
        ("lots", "inactivity_days", "inactivity_days > 0"),
        ("purchases", "refunded_minor", "refunded_minor BETWEEN 0 AND total_minor"),
        ("tenants", "clock", "clock_advance_seconds >= 0 AND (sandbox OR clock_advance_seconds = 0)"),
        ("tiers", "factor", "factor_numerator > 0 AND factor_denominator > 0"),
    )
    for table, name, must in checks:
        op.create_check_constraint(op.f(f"{table}_{name}_check"), table, must)
    indexes: tuple[tuple[str, str, str, str | None], ...] = (
        ("accounts_tier_review_idx", "accounts", "tier_review_at", "tier_review_at IS NOT NULL"),
        ("customers_merged_idx", "customers", "merged_into", "merged_into IS NOT NULL"),
        ("lots_entry_idx", "lots", "entry_id", None),
        ("lots_expiry_idx", "lots", "due_at", "due_at IS NOT NULL"),
        ("lots_notice_idx", "lots", "notice_at", "state = 'OPEN' AND notice_at IS NOT NULL"),
        ("purchases_evaluation_idx", "purchases", "evaluates_at", "evaluates_at IS NOT NULL"),
    )
    for name, table, place, condition in indexes:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, ["tenant_id", place], unique=False, postgresql_where=where)


def _create_tables() -> None:
    """Create the new tables."""
    op.create_table(
        "customer_merges",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_earned", sa.BigInteger(), nullable=False),
        sa.Column("qualifying", sa.BigInteger(), nullable=False),
        sa.Column("window_points", sa.BigInteger(), nullable=False),
        sa.Column("previous_window_points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("target_id <> source_id", name=op.f("customer_merges_target_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "source_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_merges_customers_tenant_id_source_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "target_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_merges_customers_tenant_id_target_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("customer_merges_pkey")),
        sa.UniqueConstraint("tenant_id", "source_id", name=op.f("customer_merges_tenant_id_source_id_key")),
    )
    op.create_index("customer_merges_target_idx", "customer_merges", ["tenant_id", "target_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("captured_points", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value_points", sa.BigInteger(), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=False),
        sa.Column("purchase_kind", sa.Text(collation="C"), nullable=True),
        sa.Column("purchase_external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'ACTIVE') = (ended_at IS NULL)", name=op.f("holds_ended_check")),
        sa.CheckConstraint("(state = 'CAPTURED') = (captured_points > 0)", name=op.f("holds_captured_check")),
        sa.CheckConstraint(
            "purchase_kind IN ('APPOINTMENT', 'CLASS', 'ORDER')", name=op.f("holds_purchase_kind_check")
        ),
        sa.CheckConstraint("state IN ('ACTIVE', 'CAPTURED', 'RELEASED', 'EXPIRED')", name=op.f("holds_state_check")),
        sa.CheckConstraint(
            "(purchase_kind IS NULL) = (purchase_external_id IS NULL)", name=op.f("holds_purchase_check")
        ),
        sa.CheckConstraint("discount_minor >= 0", name=op.f("holds_discount_minor_check")),
        sa.CheckConstraint("points > 0 AND captured_points BETWEEN 0 AND points", name=op.f("holds_points_check")),
        sa.CheckConstraint("value_points > 0 AND value_minor > 0", name=op.f("holds_value_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("holds_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("holds_pkey")),
    )
    op.create_index(
        "holds_active_idx",
        "holds",
        ["tenant_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'ACTIVE'"),
    )
    op.create_index("holds_customer_idx", "holds", ["tenant_id", "customer_id", "id"], unique=False)
    op.create_index("holds_purchase_idx", "holds", ["tenant_id", "purchase_kind", "purchase_external_id"], unique=False)
    op.create_table(
        "opening_balances",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("named_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_earned", sa.BigInteger(), nullable=False),
        sa.Column("qualifying", sa.BigInteger(), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "points >= 0 AND lifetime_earned >= 0 AND qualifying >= 0", name=op.f("opening_balances_numbers_check")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("opening_balances_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "named_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("opening_balances_customers_tenant_id_named_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("opening_balances_pkey")),
        sa.UniqueConstraint("tenant_id", "named_id", name=op.f("opening_balances_tenant_id_named_id_key")),
    )
    op.create_table(
        "purchase_refunds",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("lines", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("purchase_refunds_amount_minor_check")),
        sa.CheckConstraint("points <= 0", name=op.f("purchase_refunds_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("purchase_refunds_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "purchase_id"],
            ["purchases.tenant_id", "purchases.id"],
            name=op.f("purchase_refunds_purchases_tenant_id_purchase_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("purchase_refunds_pkey")),
        sa.UniqueConstraint(
            "tenant_id", "purchase_id", "number", name=op.f("purchase_refunds_tenant_id_purchase_id_number_key")
        ),
    )
    op.create_table(
        "redemptions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("returned_points", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("purchase_kind", sa.Text(collation="C"), nullable=True),
        sa.Column("purchase_external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "purchase_kind IN ('APPOINTMENT', 'CLASS', 'ORDER')", name=op.f("redemptions_purchase_kind_check")
        ),
        sa.CheckConstraint(
            "(purchase_kind IS NULL) = (purchase_external_id IS NULL)", name=op.f("redemptions_purchase_check")
        ),
        sa.CheckConstraint("discount_minor >= 0", name=op.f("redemptions_discount_minor_check")),
        sa.CheckConstraint(
            "points > 0 AND returned_points BETWEEN 0 AND points", name=op.f("redemptions_points_check")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("redemptions_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "hold_id"],
            ["holds.tenant_id", "holds.id"],
            name=op.f("redemptions_holds_tenant_id_hold_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("redemptions_pkey")),
        sa.UniqueConstraint("tenant_id", "hold_id", name=op.f("redemptions_tenant_id_hold_id_key")),
    )
    op.create_index("redemptions_customer_idx", "redemptions", ["tenant_id", "customer_id", "id"], unique=False)
    op.create_index(
        "redemptions_purchase_idx", "redemptions", ["tenant_id", "purchase_kind", "purchase_external_id"], unique=False
    )
    op.create_table(
        "expiry_notices",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("days_before", sa.Integer(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("days_before > 0", name=op.f("expiry_notices_days_before_check")),
        sa.CheckConstraint("told_at < expires_at", name=op.f("expiry_notices_told_at_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "lot_id"],
            ["lots.tenant_id", "lots.id"],
            name=op.f("expiry_notices_lots_tenant_id_lot_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "lot_id", "expires_at", "days_before", name=op.f("expiry_notices_pkey")),
    )
    op.create_table(
        "hold_lots",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("hold_lots_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "hold_id"],
            ["holds.tenant_id", "holds.id"],
            name=op.f("hold_lots_holds_tenant_id_hold_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "lot_id"], ["lots.tenant_id", "lots.id"], name=op.f("hold_lots_lots_tenant_id_lot_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "hold_id", "lot_id", name=op.f("hold_lots_pkey")),
    )
    op.create_index("hold_lots_lot_idx", "hold_lots", ["tenant_id", "lot_id"], unique=False)
    op.create_table(
        "redemption_returns",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("discount_minor >= 0", name=op.f("redemption_returns_discount_minor_check")),
        sa.CheckConstraint("points > 0", name=op.f("redemption_returns_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("redemption_returns_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "redemption_id"],
            ["redemptions.tenant_id", "redemptions.id"],
            name=op.f("redemption_returns_redemptions_tenant_id_redemption_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("redemption_returns_pkey")),
    )
    op.create_index(
        "redemption_returns_redemption_idx", "redemption_returns", ["tenant_id", "redemption_id"], unique=False
    )
