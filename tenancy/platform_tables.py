"""The platform's own tables: its credentials, its actions, and its ids of tenants.

They belong to no tenant and hold no tenant's data. Only the relay's role reaches them; the application has no right on
them. So they need no wall, and are declared apart from the tables of tenants.
"""

from sqlalchemy import Column, Index, MetaData, Table, Uuid
from sqlalchemy import text as sql

from tenancy.table import document, instant, key_text, metadata, text_column

platform_metadata = MetaData(naming_convention=metadata.naming_convention)

platform_tokens = Table(
    "platform_tokens",
    platform_metadata,
    Column("id", Uuid, primary_key=True),
    text_column("name"),
    # The text of a token is shown once and kept nowhere.
    Column("sha256", key_text("sha256").type, nullable=False, unique=True),
    instant("created_at"),
    instant("expires_at", nullable=True),
    instant("revoked_at", nullable=True),
    instant("last_used_at", nullable=True),
)

platform_actions = Table(
    "platform_actions",
    platform_metadata,
    Column("id", Uuid, primary_key=True),
    # The tenant that the action changed; empty for an action on the platform's own credentials.
    Column("tenant_id", Uuid, nullable=True),
    text_column("action"),
    # The name of the thing that was changed, for people.
    text_column("subject_name"),
    # A list of [field, before, after].
    document("changes"),
    instant("happened_at"),
    text_column("actor_subject"),
    text_column("actor"),
    Index("platform_actions_tenant_idx", "tenant_id", "id", postgresql_where=sql("tenant_id IS NOT NULL")),
)

platform_tenants = Table(
    "platform_tenants",
    platform_metadata,
    # The id of the platform's own system, and the request that made the tenant, to tell a retry from something new.
    Column("external_id", key_text("external_id").type, primary_key=True),
    Column("tenant_id", Uuid, nullable=False, unique=True),
    text_column("fingerprint"),
)
