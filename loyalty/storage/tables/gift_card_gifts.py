"""The table of gifts: each time a gift card was handed to somebody, by whom, and who took it."""

from sqlalchemy import Column, Date
from sqlalchemy import text as sql

from tenancy.table import check, identifier, index, instant, references, tenant_table, text_column

gift_card_gifts = tenant_table(
    "gift_card_gifts",
    identifier("id"),
    identifier("gift_card_id"),
    # The giver, and the customer who claimed the card; both follow a merge. Null for a card without a holder.
    identifier("giver_id", nullable=True),
    identifier("claimer_id", nullable=True),
    text_column("recipient_name"),
    text_column("recipient_email", nullable=True),
    text_column("message", nullable=True),
    Column("deliver_on", Date, nullable=True),
    instant("given_at"),
    instant("claimed_at", nullable=True),
    text_column("actor_kind"),
    text_column("actor"),
    references("gift_card_id", "gift_cards"),
    references("giver_id", "customers"),
    references("claimer_id", "customers"),
    check("claimed", "(claimer_id IS NULL) = (claimed_at IS NULL)"),
    index("gift_card_gifts_card_idx", "gift_card_id", "given_at", "id"),
    index("gift_card_gifts_giver_idx", "giver_id", "given_at", "id", where=sql("giver_id IS NOT NULL")),
    index("gift_card_gifts_claimer_idx", "claimer_id", where=sql("claimer_id IS NOT NULL")),
)
