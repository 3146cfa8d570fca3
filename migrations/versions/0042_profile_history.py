"""Changes of a customer's profile are kept: who changed what, and when.

Revision ID: 0042
Revises: 0041
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import wall

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

TABLE = "customer_profile_changes"

FILL = """
    UPDATE customers SET profile_kept = jsonb_strip_nulls(jsonb_build_object(
        'full_name', nullif(full_name, ''), 'email', email, 'phone', phone, 'avatar_url', avatar_url,
        'locale', locale, 'category', category, 'birthday', birthday,
        'identifiers', nullif(identifiers, '[]'), 'tags', nullif(tags, '[]')))
    WHERE erased_at IS NULL
"""
"""The history begins with the present profile of each customer."""


def upgrade() -> None:
    """Apply. Forced RLS hides the rows from the owner of a table too, so it is off while they are filled in."""
    op.add_column("customers", sa.Column("profile_kept", postgresql.JSONB(), nullable=True))
    op.execute("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
    op.execute(FILL)
    op.execute("ALTER TABLE customers FORCE ROW LEVEL SECURITY")
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_profile_changes_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("customer_profile_changes_pkey")),
    )
    op.create_index(
        "customer_profile_changes_customer_idx", TABLE, ["tenant_id", "customer_id", "recorded_at", "id"], unique=False
    )
    # When a person is erased, the history of the profile is deleted.
    for statement in wall(TABLE, app="SELECT, INSERT, DELETE"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table(TABLE)
    op.drop_column("customers", "profile_kept")
