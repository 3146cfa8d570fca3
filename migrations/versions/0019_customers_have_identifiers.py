"""Customers get card numbers and other identifiers, a birthday and tags, and are found by telephone number.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import wall

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

PARTIAL_INDEXES = {
    "customers_phone_idx": ("phone",),
    "customers_birthday_idx": ("birth_day", "id"),
    "customers_category_idx": ("category", "id"),
}


def upgrade() -> None:
    """Apply this revision."""
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("customers", sa.Column("birthday", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("birth_day", sa.Integer(), nullable=True))
    op.add_column("customers", sa.Column("identifiers", document, nullable=True))
    op.add_column("customers", sa.Column("tags", document, nullable=True))
    for name, columns in PARTIAL_INDEXES.items():
        where = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "customers", ["tenant_id", *columns], unique=False, postgresql_where=where)
    op.create_table(
        "customer_identifiers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_identifiers_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "value", "type", name=op.f("customer_identifiers_pkey")),
    )
    op.create_index(
        "customer_identifiers_customer_idx", "customer_identifiers", ["tenant_id", "customer_id"], unique=False
    )
    op.create_table(
        "customer_tags",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_tags_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", "tag", name=op.f("customer_tags_pkey")),
    )
    op.create_index("customer_tags_tag_idx", "customer_tags", ["tenant_id", "tag", "customer_id"], unique=False)
    rights = {
        "customer_identifiers": "SELECT, INSERT, DELETE, UPDATE (customer_id)",
        "customer_tags": "SELECT, INSERT, DELETE",
    }
    for table, app in rights.items():
        for statement in wall(table, app=app):
            op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("customer_tags")
    op.drop_table("customer_identifiers")
    for name in PARTIAL_INDEXES:
        op.drop_index(name, "customers")
    for column in ("tags", "identifiers", "birth_day", "birthday"):
        op.drop_column("customers", column)
