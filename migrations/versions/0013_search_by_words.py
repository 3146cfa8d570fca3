"""A search finds customers by every word of their names: the words get a table of their own, filled here.

Revision ID: 0013
Revises: 0012
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from loyalty.rules.search import search_words, words_mark
from tenancy.policies import wall

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

BATCH = 5_000
_READ = sa.text(
    """
    SELECT tenant_id, id, external_id, full_name, email FROM customers
    WHERE (tenant_id, id) > (CAST(:tenant AS uuid), CAST(:id AS uuid)) ORDER BY tenant_id, id LIMIT :batch
    """
)
_WORDS = sa.text(
    """
    INSERT INTO customer_words (tenant_id, customer_id, word)
    SELECT tenant_id, customer_id, word
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS rows (tenant_id uuid, customer_id uuid, word text)
    """
)
_MARKS = sa.text(
    """
    UPDATE customers c SET search_mark = rows.mark
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS rows (tenant_id uuid, id uuid, mark text)
    WHERE c.tenant_id = rows.tenant_id AND c.id = rows.id
    """
)


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "customer_words",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_words_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", "word", name=op.f("customer_words_pkey")),
    )
    op.add_column("customers", sa.Column("search_mark", sa.Text(), server_default="", nullable=False))
    _fill(op.get_bind())
    op.create_index("customer_words_word_idx", "customer_words", ["tenant_id", "word", "customer_id"], unique=False)
    op.alter_column("customers", "search_mark", server_default=None)
    op.drop_index("customers_family_name_idx", "customers")
    op.drop_column("customers", "search_family_name")
    for statement in wall("customer_words", app="SELECT, INSERT, DELETE"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the words, and fill the family name again: the last word of the name."""
    op.drop_table("customer_words")
    op.drop_column("customers", "search_mark")
    op.add_column("customers", sa.Column("search_family_name", sa.Text(collation="C"), nullable=True))
    op.execute("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE customers SET search_family_name = regexp_replace(search_name, '^.* ', '')")
    op.execute("ALTER TABLE customers FORCE ROW LEVEL SECURITY")
    op.alter_column("customers", "search_family_name", nullable=False)
    op.create_index("customers_family_name_idx", "customers", ["tenant_id", "search_family_name"], unique=False)


def _fill(connection: sa.Connection) -> None:
    """Write the words of every customer, BATCH customers at a time."""
    # Forced RLS hides the rows from their owner too, so it is off meanwhile.
    connection.execute(sa.text("ALTER TABLE customers NO FORCE ROW LEVEL SECURITY"))
    last = {"tenant": "00000000-0000-0000-0000-000000000000", "id": "00000000-0000-0000-0000-000000000000"}
    while rows := connection.execute(_READ, {**last, "batch": BATCH}).all():
        words: list[dict[str, Any]] = []
        marks: list[dict[str, Any]] = []
        for row in rows:
            found = search_words(row.external_id, row.full_name, row.email)
            owner = {"tenant_id": str(row.tenant_id)}
            words += [{**owner, "customer_id": str(row.id), "word": word} for word in found]
            marks.append({**owner, "id": str(row.id), "mark": words_mark(found)})
        connection.execute(_WORDS, {"rows": json.dumps(words)})
        connection.execute(_MARKS, {"rows": json.dumps(marks)})
        last = {"tenant": str(rows[-1].tenant_id), "id": str(rows[-1].id)}
    connection.execute(sa.text("ALTER TABLE customers FORCE ROW LEVEL SECURITY"))
