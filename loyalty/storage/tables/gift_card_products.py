"""The tables of gift card products: what is in force, and every version there ever was, with who made it."""

from sqlalchemy import Boolean, Column, Integer
from sqlalchemy import text as sql

import loyalty.storage.tables  # noqa: F401 - declares the tables that these stand beside
from tenancy.table import (
    amount,
    check,
    document,
    identifier,
    index,
    instant,
    points,
    references,
    tenant_table,
    text_column,
)

gift_card_products = tenant_table(
    "gift_card_products",
    identifier("id"),
    Column("version", Integer, nullable=False),
    text_column("name"),
    text_column("description", nullable=True),
    text_column("picture_url", nullable=True),
    amount("face_minor"),
    text_column("currency"),
    Column("purchasable_with_points", Boolean, nullable=False),
    points("points_cost", nullable=True),
    document("validity"),
    Column("stock", Integer, nullable=True),
    Column("limit_per_customer", Integer, nullable=True),
    Column("active", Boolean, nullable=False),
    # Cards that were made of it and are not void; only sales and cancellations move it.
    Column("sold", Integer, nullable=False, server_default="0"),
    instant("created_at"),
    instant("updated_at"),
    instant("archived_at", nullable=True),
    check("face_minor", "face_minor > 0"),
    check("points_cost", "points_cost > 0 AND (points_cost IS NOT NULL OR NOT purchasable_with_points)"),
    check("stock", "stock >= 0"),
    check("sold", "sold >= 0"),
    check("limit_per_customer", "limit_per_customer > 0"),
    index("gift_card_products_listed_idx", "created_at", "id"),
    index("gift_card_products_open_idx", "id", where=sql("archived_at IS NULL")),
    of_tenants=True,
)

gift_card_product_versions = tenant_table(
    "gift_card_product_versions",
    identifier("product_id"),
    Column("version", Integer, nullable=False),
    # The fields that a change can set, with their values from this version on.
    document("definition"),
    instant("created_at"),
    text_column("created_by"),
    references("product_id", "gift_card_products"),
    key=("product_id", "version"),
)
