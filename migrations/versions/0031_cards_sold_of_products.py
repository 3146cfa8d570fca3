"""Products count the gift cards that were sold of them.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("gift_card_products", sa.Column("sold", sa.Integer(), server_default="0", nullable=False))
    op.create_check_constraint("gift_card_products_sold_check", "gift_card_products", "sold >= 0")


def downgrade() -> None:
    """Undo this revision."""
    op.drop_constraint("gift_card_products_sold_check", "gift_card_products")
    op.drop_column("gift_card_products", "sold")
