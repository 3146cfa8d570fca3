"""The first and the last active day of each customer tell who was active in a long range.

Revision ID: 0060
Revises: 0059
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

FILL = """
    INSERT INTO active_spans (tenant_id, customer_id, first_day, last_day)
    SELECT tenant_id, customer_id, min(day), max(day) FROM active_days GROUP BY tenant_id, customer_id
"""


def upgrade() -> None:
    """Apply. The wall is built after the rows are there, because under it not even the owner sees active days."""
    op.create_table(
        "active_spans",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.CheckConstraint("last_day >= first_day", name=op.f("active_spans_last_day_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("active_spans_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", name=op.f("active_spans_pkey")),
    )
    op.execute("ALTER TABLE active_days NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    op.execute("ALTER TABLE active_days FORCE ROW LEVEL SECURITY")
    for statement in wall("active_spans", app="SELECT, INSERT, UPDATE (first_day, last_day)"):
        op.execute(statement)


def downgrade() -> None:
    """Take it away."""
    op.drop_table("active_spans")
