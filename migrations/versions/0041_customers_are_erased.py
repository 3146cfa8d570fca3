"""A person can be erased: texts are removed, and the hashes that chains cover stay in their place.

Revision ID: 0041
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

HASHES = {"entries": ("actor_name_hash", "reason_hash"), "gift_card_entries": ("reason_hash",)}
ERASED = {
    "entries": "num_nonnulls(actor_name, actor_name_hash) < 2 AND num_nonnulls(reason, reason_hash) < 2",
    "gift_card_entries": "num_nonnulls(reason, reason_hash) < 2",
}
"""A row has a text or its hash, never both."""

GRANTED = {
    "adjustments": "internal_note, customer_description",
    "checkouts": "purchase_external_id",
    "customer_archivings": "note, actor",
    "customer_consents": "source, actor",
    "customer_merges": "reason, actor",
    "entries": "reason, reason_hash, actor_name, actor_name_hash",
    "gift_card_entries": "reason, reason_hash",
    "gift_card_gifts": "recipient_name, recipient_email, message, actor",
    "gift_card_holds": "purchase_external_id, actor",
    "gift_cards": "reason, reference, actor",
    "holds": "purchase_external_id, actor",
    "idempotency_keys": "key",
    "opening_balances": "actor",
    "purchase_facts": "facts, report_key, digest, actor_name",
    "purchase_refunds": "reason, actor",
    "redemption_returns": "reason, actor",
    "redemptions": "purchase_external_id, actor",
    "tier_changes": "note, actor_name",
}
"""Columns that an erasure writes. The proof finds any other change of a column that a chain or a digest covers."""

CHAINED = ("gift_card_entries", "gift_cards")
"""Tables whose chain is computed again: it covers the hash of a reason now. No release has covered the reason."""

CHAIN_ANEW = """
    WITH RECURSIVE texts AS (
        SELECT tenant_id, gift_card_id, sequence, concat_ws('|', id, gift_card_id, sequence, kind, amount_minor,
                   balance_after_minor, currency, coalesce(hold_id::text, ''),
                   coalesce(((extract(epoch FROM expires_at) * 1000000)::bigint)::text, ''),
                   (extract(epoch FROM occurred_at) * 1000000)::bigint, actor_kind, actor,
                   coalesce(encode(sha256(convert_to(reason, 'UTF8')), 'hex'), '')) AS text
        FROM gift_card_entries e
        WHERE EXISTS (SELECT FROM gift_card_entries r WHERE r.tenant_id = e.tenant_id
                      AND r.gift_card_id = e.gift_card_id AND r.reason IS NOT NULL)
    ), chained AS (
        SELECT tenant_id, gift_card_id, sequence,
               sha256(decode(repeat('00', 32), 'hex') || convert_to(text, 'UTF8')) AS hash
        FROM texts WHERE sequence = 1
        UNION ALL
        SELECT t.tenant_id, t.gift_card_id, t.sequence, sha256(c.hash || convert_to(t.text, 'UTF8'))
        FROM chained c
        JOIN texts t ON t.tenant_id = c.tenant_id AND t.gift_card_id = c.gift_card_id AND t.sequence = c.sequence + 1
    )
    UPDATE gift_card_entries e SET hash = c.hash FROM chained c
    WHERE e.tenant_id = c.tenant_id AND e.gift_card_id = c.gift_card_id AND e.sequence = c.sequence
"""

HEADS_ANEW = """
    UPDATE gift_cards c SET chain = e.hash FROM gift_card_entries e
    WHERE e.tenant_id = c.tenant_id AND e.gift_card_id = c.id AND e.sequence = c.sequence AND e.hash <> c.chain
"""


def upgrade() -> None:
    """Apply. Forced RLS hides the rows from the owner of a table too, so it is off while they are filled in."""
    op.add_column("customers", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    for table, hashes in HASHES.items():
        for column in hashes:
            op.add_column(table, sa.Column(column, sa.LargeBinary(), nullable=True))
        op.create_check_constraint(op.f(f"{table}_erased_check"), table, ERASED[table])
    for table, columns in GRANTED.items():
        op.execute(f"GRANT UPDATE ({columns}) ON {table} TO {APP}")
    for table in CHAINED:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(CHAIN_ANEW)
    op.execute(HEADS_ANEW)
    for table in CHAINED:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Refuse: erased texts are gone, and the chains of gift cards cover hashes of reasons now."""
    raise NotImplementedError("what was erased is gone")
