"""The first tables, each behind its wall.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import visible_to_relay, wall, wall_of_directory

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What the application role may do with each table. What is not listed here it cannot do, whatever the code says:
# the ledger knows no UPDATE and no DELETE.
APP_RIGHTS = {
    "tenants": "SELECT",
    "programs": "SELECT, INSERT, UPDATE",
    "program_versions": "SELECT, INSERT",
    "catalog_items": "SELECT, INSERT, UPDATE, DELETE",
    "earning_rules": "SELECT, INSERT, UPDATE",
    "earning_rule_versions": "SELECT, INSERT",
    "tiers": "SELECT, INSERT, UPDATE",
    "customers": "SELECT, INSERT, UPDATE",
    "accounts": "SELECT, INSERT, UPDATE",
    "tier_changes": "SELECT, INSERT",
    "purchases": "SELECT, INSERT, UPDATE",
    "purchase_facts": "SELECT, INSERT",
    "accruals": "SELECT, INSERT, UPDATE (state, reversed_points, matures_at, matured_at)",
    "entries": "SELECT, INSERT",
    "lots": "SELECT, INSERT, UPDATE (remaining, held, expired, state)",
    "allocations": "SELECT, INSERT",
    "adjustments": "SELECT, INSERT",
    "idempotency_keys": "SELECT, INSERT",
    "events": "SELECT, INSERT",
    "event_positions": "SELECT",
    "jobs": "SELECT, INSERT, UPDATE",
    "api_tokens": "SELECT, INSERT, UPDATE (revoked_at, last_used_at)",
}

# What the relay role sees across tenants: who there is, the outbox, and where work is due.
RELAY_RIGHTS = {
    "tenants": "SELECT",
    "events": "SELECT, UPDATE (position)",
    "event_positions": "SELECT, INSERT, UPDATE",
    "jobs": "SELECT",
    "accruals": "SELECT (tenant_id, state, matures_at)",
}


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('ACTIVE', 'SUSPENDED')", name=op.f("tenants_state_check")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("tenants_pkey")),
    )
    op.create_table(
        "token_directory",
        sa.Column("sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("token_directory_pkey")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("api_tokens_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("api_tokens_pkey")),
    )
    op.create_table(
        "catalog_items",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(collation="C"), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("enrolled", sa.Boolean(), nullable=False),
        sa.Column("points_per_unit", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('SERVICE', 'CLASS', 'PRODUCT', 'CATEGORY', 'LOCATION', 'STAFF')",
            name=op.f("catalog_items_kind_check"),
        ),
        sa.CheckConstraint("points_per_unit > 0", name=op.f("catalog_items_points_per_unit_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("catalog_items_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "external_id", name=op.f("catalog_items_pkey")),
    )
    op.create_table(
        "customers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=True),
        sa.Column("avatar_url", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("marketing_consent", sa.Boolean(), nullable=True),
        sa.Column("search_name", sa.Text(collation="C"), nullable=False),
        sa.Column("search_family_name", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("customers_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("customers_pkey")),
        sa.UniqueConstraint("tenant_id", "external_id", name=op.f("customers_tenant_id_external_id_key")),
    )
    op.create_index("customers_email_idx", "customers", ["tenant_id", "email"], unique=False)
    op.create_index("customers_family_name_idx", "customers", ["tenant_id", "search_family_name"], unique=False)
    op.create_index("customers_name_idx", "customers", ["tenant_id", "search_name", "id"], unique=False)
    op.create_table(
        "earning_rules",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("award", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("conditions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("earning_rules_window_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("earning_rules_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("earning_rules_pkey")),
    )
    op.create_index(
        "earning_rules_listed_idx",
        "earning_rules",
        ["tenant_id", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "event_positions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("event_positions_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("event_positions_pkey")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("result_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("idempotency_keys_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("idempotency_keys_pkey")),
    )
    op.create_table(
        "jobs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Uuid(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('WAITING', 'RUNNING', 'DONE', 'FAILED')", name=op.f("jobs_state_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("jobs_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("jobs_pkey")),
    )
    op.create_index(
        "jobs_due_idx",
        "jobs",
        ["tenant_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('WAITING', 'RUNNING')"),
    )
    op.create_table(
        "program_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settings", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("program_versions_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "version", name=op.f("program_versions_pkey")),
    )
    op.create_table(
        "programs",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("settings", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("programs_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("programs_pkey")),
    )
    op.create_table(
        "tiers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        sa.Column("min_points", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("min_points >= 0", name=op.f("tiers_min_points_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("tiers_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("tiers_pkey")),
    )
    op.create_index(
        "tiers_min_points_key",
        "tiers",
        ["tenant_id", "min_points"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "tiers_name_key",
        "tiers",
        ["tenant_id", "name_key"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "accounts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("debt", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_earned", sa.BigInteger(), nullable=False),
        sa.Column("qualifying", sa.BigInteger(), nullable=False),
        sa.Column("tier_id", sa.Uuid(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("available >= 0", name=op.f("accounts_available_check")),
        sa.CheckConstraint("debt = 0 OR available = 0", name=op.f("accounts_debt_first_check")),
        sa.CheckConstraint("debt >= 0", name=op.f("accounts_debt_check")),
        sa.CheckConstraint("held >= 0", name=op.f("accounts_held_check")),
        sa.CheckConstraint("lifetime_earned >= 0", name=op.f("accounts_lifetime_earned_check")),
        sa.CheckConstraint("pending >= 0", name=op.f("accounts_pending_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("accounts_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "tier_id"],
            ["tiers.tenant_id", "tiers.id"],
            name=op.f("accounts_tiers_tenant_id_tier_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", name=op.f("accounts_pkey")),
    )
    op.create_index("accounts_available_idx", "accounts", ["tenant_id", "available", "customer_id"], unique=False)
    op.create_index("accounts_tier_idx", "accounts", ["tenant_id", "tier_id"], unique=False)
    op.create_table(
        "adjustments",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("requested_points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("internal_note", sa.Text(), nullable=True),
        sa.Column("customer_description", sa.Text(), nullable=True),
        sa.Column("qualifying", sa.Boolean(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "reason IN ('CORRECTION', 'BONUS', 'LOYALTY_BONUS', 'GOODWILL', 'PROMOTION', 'OTHER')",
            name=op.f("adjustments_reason_check"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("adjustments_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("adjustments_pkey")),
    )
    op.create_table(
        "earning_rule_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("award", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("conditions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_id"],
            ["earning_rules.tenant_id", "earning_rules.id"],
            name=op.f("earning_rule_versions_earning_rules_tenant_id_rule_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "rule_id", "version", name=op.f("earning_rule_versions_pkey")),
    )
    op.create_table(
        "entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=False),
        sa.Column("reference_kind", sa.Text(), nullable=False),
        sa.Column("reference_id", sa.Uuid(), nullable=False),
        sa.Column("cause_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Text(collation="C"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('EARNED', 'REDEEMED', 'ADJUSTED', 'EXPIRED', 'EARN_REVERSED', 'REDEMPTION_RETURNED', "
            "'GIFT_CARD', 'OPENING', 'MERGED')",
            name=op.f("entries_kind_check"),
        ),
        sa.CheckConstraint("points <> 0", name=op.f("entries_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("entries_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("entries_pkey")),
        sa.UniqueConstraint("tenant_id", "cause_id", "phase", name=op.f("entries_tenant_id_cause_id_phase_key")),
        sa.UniqueConstraint(
            "tenant_id", "customer_id", "sequence", name=op.f("entries_tenant_id_customer_id_sequence_key")
        ),
    )
    op.create_index("entries_customer_idx", "entries", ["tenant_id", "customer_id", "occurred_at", "id"], unique=False)
    op.create_index(
        "entries_report_idx",
        "entries",
        ["tenant_id", "occurred_at", "id"],
        unique=False,
        postgresql_include=["kind", "points", "customer_id"],
    )
    op.create_table(
        "events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("payload", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("events_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("events_pkey")),
        sa.UniqueConstraint("tenant_id", "position", name=op.f("events_tenant_id_position_key")),
    )
    op.create_index(
        "events_unpositioned_idx",
        "events",
        ["tenant_id", "recorded_at", "id"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_table(
        "purchases",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.SmallInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("staff", sa.Text(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('APPOINTMENT', 'CLASS', 'ORDER')", name=op.f("purchases_kind_check")),
        sa.CheckConstraint(
            "status IN ('CREATED', 'CONFIRMED', 'PAID', 'COMPLETED', 'CANCELLED', 'NO_SHOW', 'REFUNDED')",
            name=op.f("purchases_status_check"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("purchases_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("purchases_pkey")),
        sa.UniqueConstraint("tenant_id", "kind", "external_id", name=op.f("purchases_tenant_id_kind_external_id_key")),
    )
    op.create_index("purchases_customer_idx", "purchases", ["tenant_id", "customer_id", "id"], unique=False)
    op.create_table(
        "tier_changes",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("from_tier_id", sa.Uuid(), nullable=True),
        sa.Column("to_tier_id", sa.Uuid(), nullable=True),
        sa.Column("upgraded", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Uuid(), nullable=True),
        sa.Column("qualifying", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("tier_changes_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "from_tier_id"],
            ["tiers.tenant_id", "tiers.id"],
            name=op.f("tier_changes_tiers_tenant_id_from_tier_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "to_tier_id"],
            ["tiers.tenant_id", "tiers.id"],
            name=op.f("tier_changes_tiers_tenant_id_to_tier_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("tier_changes_pkey")),
    )
    op.create_index("tier_changes_cause_idx", "tier_changes", ["tenant_id", "cause_id"], unique=False)
    op.create_index("tier_changes_customer_idx", "tier_changes", ["tenant_id", "customer_id", "id"], unique=False)
    op.create_table(
        "accruals",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reversed_points", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("breakdown", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("policy", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("program_version", sa.Integer(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("matures_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("matured_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('EVALUATED', 'PENDING', 'AVAILABLE', 'PARTIALLY_REVERSED', 'REVERSED', 'VOIDED')",
            name=op.f("accruals_state_check"),
        ),
        sa.CheckConstraint("points >= 0", name=op.f("accruals_points_check")),
        sa.CheckConstraint("reversed_points BETWEEN 0 AND points", name=op.f("accruals_reversed_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("accruals_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "purchase_id"],
            ["purchases.tenant_id", "purchases.id"],
            name=op.f("accruals_purchases_tenant_id_purchase_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("accruals_pkey")),
        sa.UniqueConstraint(
            "tenant_id", "purchase_id", "generation", name=op.f("accruals_tenant_id_purchase_id_generation_key")
        ),
    )
    op.create_index(
        "accruals_due_idx",
        "accruals",
        ["tenant_id", "matures_at"],
        unique=False,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_table(
        "lots",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("original", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('OPEN', 'EXHAUSTED', 'EXPIRED')", name=op.f("lots_state_check")),
        sa.CheckConstraint("original > 0", name=op.f("lots_original_check")),
        sa.CheckConstraint(
            "remaining >= 0 AND held >= 0 AND expired >= 0 AND remaining + held + expired <= original",
            name=op.f("lots_remaining_check"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("lots_customers_tenant_id_customer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "entry_id"],
            ["entries.tenant_id", "entries.id"],
            name=op.f("lots_entries_tenant_id_entry_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("lots_pkey")),
    )
    op.create_index(
        "lots_open_idx",
        "lots",
        ["tenant_id", "customer_id", "expires_at", "opened_at"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.create_table(
        "purchase_facts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(collation="C"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "purchase_id"],
            ["purchases.tenant_id", "purchases.id"],
            name=op.f("purchase_facts_purchases_tenant_id_purchase_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "purchase_id", "version", name=op.f("purchase_facts_pkey")),
        sa.UniqueConstraint(
            "tenant_id", "purchase_id", "fingerprint", name=op.f("purchase_facts_tenant_id_purchase_id_fingerprint_key")
        ),
    )
    op.create_table(
        "allocations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("allocations_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "entry_id"],
            ["entries.tenant_id", "entries.id"],
            name=op.f("allocations_entries_tenant_id_entry_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "lot_id"], ["lots.tenant_id", "lots.id"], name=op.f("allocations_lots_tenant_id_lot_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", "lot_id", name=op.f("allocations_pkey")),
    )
    op.create_index("allocations_lot_idx", "allocations", ["tenant_id", "lot_id"], unique=False)

    for table, rights in APP_RIGHTS.items():
        for statement in wall(table, app=rights):
            op.execute(statement)
    for table, rights in RELAY_RIGHTS.items():
        for statement in visible_to_relay(table, rights=rights):
            op.execute(statement)
    for statement in wall_of_directory("token_directory"):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: there is nothing before the first tables. Drop the database instead."""
    message = "the first revision cannot be taken back"
    raise NotImplementedError(message)
