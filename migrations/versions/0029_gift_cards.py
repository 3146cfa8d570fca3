"""Gift cards: each is an account of its own with chained entries and holds.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import visible_to_relay, wall

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

KINDS = ("EARNED", "REDEEMED", "ADJUSTED", "EXPIRED", "EARN_REVERSED", "REDEMPTION_RETURNED", "GIFT_CARD")
"""The kinds of entries before this revision, without OPENING and MERGED, which come last."""


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "gift_cards",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=True),
        sa.Column("origin", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer_id", sa.Uuid(), nullable=True),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("code_ending", sa.Text(), nullable=False),
        sa.Column("face_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("held_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("points_cost", sa.BigInteger(), nullable=True),
        sa.Column("price_minor", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.Text(collation="C"), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            sa.Computed("CASE WHEN balance_minor > held_minor THEN expires_at END", persisted=True),
            nullable=True,
        ),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(origin = 'POINTS') = (points_cost IS NOT NULL) AND points_cost > 0",
            name=op.f("gift_cards_points_cost_check"),
        ),
        sa.CheckConstraint("origin <> 'POINTS' OR buyer_id IS NOT NULL", name=op.f("gift_cards_buyer_check")),
        sa.CheckConstraint("origin IN ('POINTS', 'MONEY', 'GOODWILL')", name=op.f("gift_cards_origin_check")),
        sa.CheckConstraint(
            "price_minor >= 0 AND (price_minor IS NULL OR origin = 'MONEY')", name=op.f("gift_cards_price_minor_check")
        ),
        sa.CheckConstraint("balance_minor BETWEEN 0 AND face_minor", name=op.f("gift_cards_balance_minor_check")),
        sa.CheckConstraint("face_minor > 0", name=op.f("gift_cards_face_minor_check")),
        sa.CheckConstraint("held_minor BETWEEN 0 AND balance_minor", name=op.f("gift_cards_held_minor_check")),
        sa.CheckConstraint("voided_at IS NULL OR balance_minor = 0", name=op.f("gift_cards_voided_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "buyer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("gift_cards_customers_tenant_id_buyer_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "holder_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("gift_cards_customers_tenant_id_holder_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "product_id"],
            ["gift_card_products.tenant_id", "gift_card_products.id"],
            name=op.f("gift_cards_gift_card_products_tenant_id_product_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("gift_cards_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("gift_cards_pkey")),
        sa.UniqueConstraint("tenant_id", "code_hash", name=op.f("gift_cards_tenant_id_code_hash_key")),
    )
    op.create_index(
        "gift_cards_buyer_idx",
        "gift_cards",
        ["tenant_id", "buyer_id", "issued_at", "id"],
        unique=False,
        postgresql_where=sa.text("buyer_id IS NOT NULL"),
    )
    op.create_index(
        "gift_cards_expiry_idx",
        "gift_cards",
        ["tenant_id", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "gift_cards_holder_idx",
        "gift_cards",
        ["tenant_id", "holder_id", "issued_at", "id"],
        unique=False,
        postgresql_where=sa.text("holder_id IS NOT NULL"),
    )
    op.create_index("gift_cards_issued_idx", "gift_cards", ["tenant_id", "issued_at", "id"], unique=False)
    op.create_index(
        "gift_cards_sold_idx",
        "gift_cards",
        ["tenant_id", "product_id", "buyer_id"],
        unique=False,
        postgresql_where=sa.text("voided_at IS NULL AND product_id IS NOT NULL"),
    )
    op.create_table(
        "gift_card_holds",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False),
        sa.Column("returned_minor", sa.BigInteger(), nullable=False),
        sa.Column("purchase_kind", sa.Text(collation="C"), nullable=True),
        sa.Column("purchase_external_id", sa.Text(collation="C"), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'ACTIVE') = (ended_at IS NULL)", name=op.f("gift_card_holds_ended_check")),
        sa.CheckConstraint("(state = 'CAPTURED') = (captured_minor > 0)", name=op.f("gift_card_holds_captured_check")),
        sa.CheckConstraint(
            "purchase_kind IN ('APPOINTMENT', 'CLASS', 'ORDER')", name=op.f("gift_card_holds_purchase_kind_check")
        ),
        sa.CheckConstraint(
            "state IN ('ACTIVE', 'CAPTURED', 'RELEASED', 'EXPIRED')", name=op.f("gift_card_holds_state_check")
        ),
        sa.CheckConstraint(
            "(purchase_kind IS NULL) = (purchase_external_id IS NULL)", name=op.f("gift_card_holds_purchase_check")
        ),
        sa.CheckConstraint(
            "amount_minor > 0 AND captured_minor BETWEEN 0 AND amount_minor",
            name=op.f("gift_card_holds_amount_minor_check"),
        ),
        sa.CheckConstraint(
            "returned_minor BETWEEN 0 AND captured_minor", name=op.f("gift_card_holds_returned_minor_check")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "gift_card_id"],
            ["gift_cards.tenant_id", "gift_cards.id"],
            name=op.f("gift_card_holds_gift_cards_tenant_id_gift_card_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("gift_card_holds_pkey")),
    )
    op.create_index(
        "gift_card_holds_active_idx",
        "gift_card_holds",
        ["tenant_id", "expires_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'ACTIVE'"),
    )
    op.create_index(
        "gift_card_holds_card_idx", "gift_card_holds", ["tenant_id", "gift_card_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "gift_card_holds_purchase_idx",
        "gift_card_holds",
        ["tenant_id", "purchase_kind", "purchase_external_id"],
        unique=False,
    )
    op.create_table(
        "gift_card_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gift_card_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "(kind IN ('SPENT', 'RETURNED')) = (hold_id IS NOT NULL)", name=op.f("gift_card_entries_hold_check")
        ),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('ISSUED', 'RETURNED', 'EXTENDED') THEN amount_minor >= 0 ELSE amount_minor <= 0 END",
            name=op.f("gift_card_entries_amount_minor_check"),
        ),
        sa.CheckConstraint(
            "amount_minor <> 0 OR kind IN ('EXTENDED', 'VOIDED')", name=op.f("gift_card_entries_moves_check")
        ),
        sa.CheckConstraint(
            "expires_at IS NULL OR kind IN ('ISSUED', 'EXTENDED')", name=op.f("gift_card_entries_expires_at_check")
        ),
        sa.CheckConstraint(
            "kind IN ('ISSUED', 'SPENT', 'RETURNED', 'EXPIRED', 'EXTENDED', 'VOIDED')",
            name=op.f("gift_card_entries_kind_check"),
        ),
        sa.CheckConstraint("balance_after_minor >= 0", name=op.f("gift_card_entries_balance_after_minor_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "gift_card_id"],
            ["gift_cards.tenant_id", "gift_cards.id"],
            name=op.f("gift_card_entries_gift_cards_tenant_id_gift_card_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "hold_id"],
            ["gift_card_holds.tenant_id", "gift_card_holds.id"],
            name=op.f("gift_card_entries_gift_card_holds_tenant_id_hold_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("gift_card_entries_pkey")),
        sa.UniqueConstraint(
            "tenant_id", "gift_card_id", "sequence", name=op.f("gift_card_entries_tenant_id_gift_card_id_sequence_key")
        ),
    )
    op.create_index(
        "gift_card_entries_hold_idx",
        "gift_card_entries",
        ["tenant_id", "hold_id"],
        unique=False,
        postgresql_where=sa.text("hold_id IS NOT NULL"),
    )
    op.create_index(
        "gift_card_entries_once_key",
        "gift_card_entries",
        ["tenant_id", "gift_card_id", "kind"],
        unique=True,
        postgresql_where=sa.text("kind IN ('ISSUED', 'VOIDED')"),
    )
    op.create_index(
        "gift_card_entries_spent_key",
        "gift_card_entries",
        ["tenant_id", "hold_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'SPENT'"),
    )
    rights = {
        "gift_cards": "SELECT, INSERT, UPDATE (buyer_id, holder_id, balance_minor, held_minor, sequence, chain,"
        " expires_at, voided_at)",
        "gift_card_holds": "SELECT, INSERT, UPDATE (state, captured_minor, returned_minor, ended_at)",
        "gift_card_entries": "SELECT, INSERT",
    }
    for table, app in rights.items():
        for statement in wall(table, app=app):
            op.execute(statement)
    seen = {
        "gift_cards": "SELECT (tenant_id, due_at)",
        "gift_card_holds": "SELECT (tenant_id, expires_at, state)",
    }
    for table, columns in seen.items():
        for statement in visible_to_relay(table, rights=columns):
            op.execute(statement)
    _allow_kinds((*KINDS, "GIFT_CARD_RETURNED", "OPENING", "MERGED"))


def downgrade() -> None:
    """Undo this revision."""
    _allow_kinds((*KINDS, "OPENING", "MERGED"))
    op.drop_table("gift_card_entries")
    op.drop_table("gift_card_holds")
    op.drop_table("gift_cards")


def _allow_kinds(kinds: tuple[str, ...]) -> None:
    """Replace the check on the kinds of entries. Others can write while the rows are checked."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.drop_constraint("entries_kind_check", "entries")
    op.execute(f"ALTER TABLE entries ADD CONSTRAINT entries_kind_check CHECK (kind IN ({listed})) NOT VALID")
    op.execute("ALTER TABLE entries VALIDATE CONSTRAINT entries_kind_check")
