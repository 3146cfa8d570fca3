"""Limits of a redemption belong to the purchase: checkouts, and the terms and the lowered points of holds.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP, wall

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Holds from before have no terms: only the total of their purchase limits them. A call captures them."""
    op.create_table(
        "checkouts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("purchase_kind", sa.Text(collation="C"), nullable=False),
        sa.Column("purchase_external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "purchase_kind IN ('APPOINTMENT', 'CLASS', 'ORDER')", name=op.f("checkouts_purchase_kind_check")
        ),
        sa.CheckConstraint("version > 0", name=op.f("checkouts_version_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("checkouts_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "purchase_kind", "purchase_external_id", name=op.f("checkouts_pkey")),
    )
    for statement in wall("checkouts", app="SELECT, INSERT, UPDATE (version)"):
        op.execute(statement)
    op.add_column("holds", sa.Column("lowered_points", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("holds", sa.Column("lowered_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("holds", sa.Column("terms", postgresql.JSONB(), nullable=True))
    op.add_column("holds", sa.Column("capture_on", sa.Text(collation="C"), nullable=False, server_default="CALL"))
    op.add_column("hold_lots", sa.Column("lowered_points", sa.BigInteger(), nullable=False, server_default="0"))
    for table, column in (("holds", "lowered_points"), ("holds", "capture_on"), ("hold_lots", "lowered_points")):
        op.alter_column(table, column, server_default=None)
    op.create_check_constraint(op.f("holds_lowered_points_check"), "holds", "lowered_points BETWEEN 0 AND points - 1")
    op.create_check_constraint(
        op.f("holds_lowered_at_check"), "holds", "(lowered_points > 0) = (lowered_at IS NOT NULL)"
    )
    op.create_check_constraint(op.f("holds_capture_on_check"), "holds", "capture_on IN ('CALL', 'PAID')")
    op.create_check_constraint(
        op.f("hold_lots_lowered_points_check"), "hold_lots", "lowered_points BETWEEN 0 AND points"
    )
    op.execute(f"GRANT UPDATE (lowered_points, lowered_at, discount_minor) ON holds TO {APP}")
    op.execute(f"GRANT UPDATE (lowered_points) ON hold_lots TO {APP}")


def downgrade() -> None:
    """Drop the table and the columns. Before that, end all holds that gave points back early: they would look whole."""
    op.execute(f"REVOKE UPDATE (discount_minor) ON holds FROM {APP}")
    op.drop_column("hold_lots", "lowered_points")
    for column in ("capture_on", "terms", "lowered_at", "lowered_points"):
        op.drop_column("holds", column)
    op.drop_table("checkouts")
