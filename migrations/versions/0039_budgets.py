"""What operations cost is booked in budgets, and the platform may give a tenant limits of its own.

Revision ID: 0039
Revises: 0038
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import RELAY, wall

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "budgets",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=False),
        sa.CheckConstraint("per_second >= 1", name=op.f("budgets_per_second_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("budgets_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "scope", name=op.f("budgets_pkey")),
    )
    op.create_index("budgets_full_idx", "budgets", ["tenant_id", "full_at"], unique=False)
    for statement in wall("budgets", app="SELECT, INSERT, UPDATE, DELETE"):
        op.execute(statement)
    op.add_column("tenants", sa.Column("budget_points", sa.Integer(), nullable=True))
    op.add_column("tenants", sa.Column("budget_per_second", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("tenants_budget_check"), "tenants", "(budget_points IS NULL) = (budget_per_second IS NULL)"
    )
    op.create_check_constraint(
        op.f("tenants_budget_size_check"), "tenants", "budget_points >= 20000 AND budget_per_second >= 1"
    )
    op.execute(f"GRANT UPDATE (budget_points, budget_per_second) ON tenants TO {RELAY}")


def downgrade() -> None:
    """Undo this revision."""
    op.drop_constraint(op.f("tenants_budget_size_check"), "tenants")
    op.drop_constraint(op.f("tenants_budget_check"), "tenants")
    op.drop_column("tenants", "budget_per_second")
    op.drop_column("tenants", "budget_points")
    op.drop_table("budgets")
