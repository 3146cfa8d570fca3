"""Products of gift cards, and every version of them.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import wall

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    _create_products()
    _create_versions()
    for statement in wall("gift_card_products", app="SELECT, INSERT, UPDATE"):
        op.execute(statement)
    for statement in wall("gift_card_product_versions", app="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("gift_card_product_versions")
    op.drop_table("gift_card_products")


def _create_products() -> None:
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "gift_card_products",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("picture_url", sa.Text(), nullable=True),
        sa.Column("face_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("purchasable_with_points", sa.Boolean(), nullable=False),
        sa.Column("points_cost", sa.BigInteger(), nullable=True),
        sa.Column("validity", document, nullable=False),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("limit_per_customer", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("archived_at", instant, nullable=True),
        sa.CheckConstraint("face_minor > 0", name=op.f("gift_card_products_face_minor_check")),
        sa.CheckConstraint(
            "points_cost > 0 AND (points_cost IS NOT NULL OR NOT purchasable_with_points)",
            name=op.f("gift_card_products_points_cost_check"),
        ),
        sa.CheckConstraint("stock >= 0", name=op.f("gift_card_products_stock_check")),
        sa.CheckConstraint("limit_per_customer > 0", name=op.f("gift_card_products_limit_per_customer_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("gift_card_products_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("gift_card_products_pkey")),
    )
    op.create_index(
        "gift_card_products_listed_idx", "gift_card_products", ["tenant_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "gift_card_products_open_idx",
        "gift_card_products",
        ["tenant_id", "id"],
        unique=False,
        postgresql_where=sa.text("archived_at IS NULL"),
    )


def _create_versions() -> None:
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.create_table(
        "gift_card_product_versions",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", document, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "product_id"],
            ["gift_card_products.tenant_id", "gift_card_products.id"],
            name=op.f("gift_card_product_versions_gift_card_products_tenant_id_5c22"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "product_id", "version", name=op.f("gift_card_product_versions_pkey")),
    )
