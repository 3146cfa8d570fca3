"""Gift cards are given to somebody, and claimed.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

INDEXES = {
    "gift_card_gifts_card_idx": ("gift_card_id", "given_at", "id"),
    "gift_card_gifts_giver_idx": ("giver_id", "given_at", "id"),
    "gift_card_gifts_claimer_idx": ("claimer_id",),
}


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "gift_card_gifts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("giver_id", sa.Uuid(), nullable=True),
        sa.Column("claimer_id", sa.Uuid(), nullable=True),
        sa.Column("recipient_name", sa.Text(), nullable=False),
        sa.Column("recipient_email", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("deliver_on", sa.Date(), nullable=True),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("(claimer_id IS NULL) = (claimed_at IS NULL)", name=op.f("gift_card_gifts_claimed_check")),
        *(
            sa.ForeignKeyConstraint(
                ["tenant_id", column],
                [f"{table}.tenant_id", f"{table}.id"],
                name=op.f(f"gift_card_gifts_{table}_tenant_id_{column}_fkey"),
            )
            for column, table in (
                ("gift_card_id", "gift_cards"),
                ("giver_id", "customers"),
                ("claimer_id", "customers"),
            )
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("gift_card_gifts_pkey")),
    )
    for name, columns in INDEXES.items():
        where = None if columns[0] == "gift_card_id" else sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, "gift_card_gifts", ["tenant_id", *columns], unique=False, postgresql_where=where)
    for statement in wall("gift_card_gifts", app="SELECT, INSERT, UPDATE (giver_id, claimer_id, claimed_at)"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("gift_card_gifts")
