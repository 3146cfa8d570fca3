"""Indexes by due time across tenants: the relay asks with them which tenants have something due.

Revision ID: 0035
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

WAITING = (
    ("purchases_evaluates_at_idx", "purchases", "evaluates_at", "evaluates_at IS NOT NULL"),
    ("accruals_matures_at_idx", "accruals", "matures_at", "state = 'PENDING'"),
    ("holds_expires_at_idx", "holds", "expires_at", "state = 'ACTIVE'"),
    ("lots_notice_at_idx", "lots", "notice_at", "state = 'OPEN' AND notice_at IS NOT NULL"),
    ("lots_due_at_idx", "lots", "due_at", "due_at IS NOT NULL"),
    ("gift_card_holds_expires_at_idx", "gift_card_holds", "expires_at", "state = 'ACTIVE'"),
    ("gift_cards_due_at_idx", "gift_cards", "due_at", "due_at IS NOT NULL"),
    ("accounts_tier_review_at_idx", "accounts", "tier_review_at", "tier_review_at IS NOT NULL"),
)


def upgrade() -> None:
    """Apply this revision."""
    for name, table, at, where in WAITING:
        key = "customer_id" if table == "accounts" else "id"
        op.create_index(name, table, [at, "tenant_id", key], postgresql_where=sa.text(where))
    op.create_index(
        "tenants_ahead_idx", "tenants", ["tenant_id"], postgresql_where=sa.text("clock_advance_seconds > 0")
    )


def downgrade() -> None:
    """Undo this revision."""
    op.drop_index("tenants_ahead_idx", "tenants")
    for name, table, _, _ in WAITING:
        op.drop_index(name, table)
