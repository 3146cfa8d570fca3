"""Tenants say how long personal data is kept; accounts say when their customers were last active.

Revision ID: 0061
Revises: 0060
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import visible_to_relay, wall

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

TABLE = "retention"
LOOKED_AT = ("accounts", "customers")

FILL = """
    UPDATE accounts SET active_at = accounts.updated_at FROM customers
    WHERE customers.tenant_id = accounts.tenant_id AND customers.id = accounts.customer_id
        AND customers.erased_at IS NULL AND NOT accounts.closed
"""
"""Nobody is taken for inactive since an earlier time than the last change of their account."""


def upgrade() -> None:
    """Apply. Under forced RLS not even the owner of a table sees a row, so the force rests for a moment."""
    op.add_column("accounts", sa.Column("active_at", sa.DateTime(timezone=True), nullable=True))
    for table in LOOKED_AT:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    for table in LOOKED_AT:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(op.f("accounts_active_check"), "accounts", "NOT closed OR active_at IS NULL")
    op.create_index(
        "accounts_active_idx",
        "accounts",
        ["tenant_id", "active_at", "customer_id"],
        postgresql_where=sa.text("active_at IS NOT NULL AND available = 0"),
    )
    op.create_index(
        "customer_profile_changes_recorded_idx", "customer_profile_changes", ["tenant_id", "recorded_at", "id"]
    )
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("inactive_months", sa.Integer(), nullable=True),
        sa.Column("profile_history_months", sa.Integer(), nullable=True),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looks_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("after_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("after_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("looks_at IS NULL OR looks_at >= begins_at", name=op.f("retention_looks_at_check")),
        sa.CheckConstraint("(after_at IS NULL) = (after_id IS NULL)", name=op.f("retention_after_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("retention_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("retention_pkey")),
    )
    op.create_index(
        "retention_looks_at_idx", TABLE, ["looks_at", "tenant_id"], postgresql_where=sa.text("looks_at IS NOT NULL")
    )
    statements = (
        *wall(TABLE, app="SELECT, INSERT, UPDATE"),
        *visible_to_relay(TABLE, rights="SELECT (tenant_id, looks_at)"),
    )
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Take it away."""
    op.drop_table(TABLE)
    op.drop_index("customer_profile_changes_recorded_idx", "customer_profile_changes")
    op.drop_index("accounts_active_idx", "accounts")
    op.drop_constraint(op.f("accounts_active_check"), "accounts")
    op.drop_column("accounts", "active_at")
