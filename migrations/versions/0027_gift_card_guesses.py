"""Wrong codes of gift cards are counted.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "gift_card_guesses",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("wrong >= 0", name=op.f("gift_card_guesses_wrong_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("gift_card_guesses_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "scope", name=op.f("gift_card_guesses_pkey")),
    )
    op.create_index("gift_card_guesses_ended_idx", "gift_card_guesses", ["tenant_id", "ends_at"], unique=False)
    for statement in wall("gift_card_guesses", app="SELECT, INSERT, UPDATE, DELETE"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("gift_card_guesses")
