"""Reports are answered from figures of days, months and years, and from the days on which customers were active.

Revision ID: 0058
Revises: 0057
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

PERIODS = "DAY MONTH YEAR"


def upgrade() -> None:
    """Apply. A new reader fills the tables from the oldest event on; until then reports add up entries."""
    listed = ", ".join(f"'{period}'" for period in PERIODS.split())
    op.create_table(
        "figures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(collation="C"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"period IN ({listed})", name=op.f("figures_period_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("figures_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "period", "starts_on", "kind", name=op.f("figures_pkey")),
    )
    for statement in wall("figures", app="SELECT, INSERT, UPDATE (points)"):
        op.execute(statement)
    op.create_table(
        "active_days",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("active_days_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", "customer_id", name=op.f("active_days_pkey")),
        sa.UniqueConstraint("tenant_id", "customer_id", "day", name=op.f("active_days_tenant_id_customer_id_day_key")),
    )
    for statement in wall("active_days", app="SELECT, INSERT"):
        op.execute(statement)
    op.drop_table("daily_figures")
    for statement in (
        "ALTER TABLE log_readers NO FORCE ROW LEVEL SECURITY",
        "DELETE FROM log_readers WHERE reader = 'daily_figures'",
        "ALTER TABLE log_readers FORCE ROW LEVEL SECURITY",
    ):
        op.execute(statement)


def downgrade() -> None:
    """None: the figures that earlier releases kept are gone."""
