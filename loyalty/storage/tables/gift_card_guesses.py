"""The table of wrong codes of gift cards and wrong look-ups of customers: how many were tried lately, and by whom.

It never holds a code or a name.
"""

from sqlalchemy import Column, Integer

import loyalty.storage.tables  # noqa: F401 - declares the tables that this stands beside
from tenancy.table import check, index, instant, key_text, tenant_table

gift_card_guesses = tenant_table(
    "gift_card_guesses",
    # The scope of the count: a client, a hashed beginning of codes, the whole tenant, or the look-ups of a client.
    key_text("scope"),
    Column("wrong", Integer, nullable=False),
    # When the window ends. Its count is forgotten then.
    instant("ends_at"),
    check("wrong", "wrong >= 0"),
    index("gift_card_guesses_ended_idx", "ends_at"),
    key=("scope",),
    of_tenants=True,
)
