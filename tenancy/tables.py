"""The two tables that know tenants: who they are, and which credential leads to which."""

from sqlalchemy import Column, Table, Text, Uuid

from tenancy.table import instant, metadata, one_of, text_column

TENANT_STATES = ("ACTIVE", "SUSPENDED")

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    text_column("name"),
    text_column("currency"),
    text_column("time_zone"),
    text_column("locale"),
    text_column("state"),
    instant("created_at"),
    one_of("state", TENANT_STATES),
)

token_directory = Table(
    "token_directory",
    metadata,
    # The only key in the database that does not begin with the tenant: it is how the tenant is found.
    Column("sha256", Text(collation="C"), primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("token_id", Uuid, nullable=False),
)
