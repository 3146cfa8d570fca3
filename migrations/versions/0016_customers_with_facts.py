"""Customers get a telephone number, times for what is known about them, and a history of consents.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import wall

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# What was known before has no time of its own: it is as old as the last change of the customer.
HISTORY = """
    INSERT INTO customer_consents (tenant_id, id, customer_id, granted, told_at, recorded_at, actor_kind, actor)
    SELECT tenant_id, gen_random_uuid(), id, marketing_consent, updated_at, updated_at, 'SYSTEM', 'Treue'
    FROM customers WHERE marketing_consent IS NOT NULL
"""


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "customer_consents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_consents_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("customer_consents_pkey")),
    )
    op.add_column("customers", sa.Column("phone", sa.Text(collation="C"), nullable=True))
    op.add_column("customers", sa.Column("consent_source", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("consent_kept", sa.Boolean(), nullable=True))
    op.add_column("customers", sa.Column("facts_at", postgresql.JSONB(), server_default="{}", nullable=False))
    op.alter_column("customers", "facts_at", server_default=None)
    op.execute("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
    op.execute(HISTORY)
    op.execute("UPDATE customers SET consent_kept = marketing_consent WHERE marketing_consent IS NOT NULL")
    op.execute("ALTER TABLE customers FORCE ROW LEVEL SECURITY")
    op.create_index(
        "customer_consents_customer_idx",
        "customer_consents",
        ["tenant_id", "customer_id", "told_at", "id"],
        unique=False,
    )
    # Without the customer, so that the words of some customers are always found by the primary key.
    op.drop_index("customer_words_word_idx", "customer_words")
    op.create_index("customer_words_word_idx", "customer_words", ["tenant_id", "word"], unique=False)
    for statement in wall("customer_consents", app="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("customer_consents")
    for column in ("facts_at", "consent_kept", "consent_source", "phone"):
        op.drop_column("customers", column)
