"""The members of the team, the roles that a tenant has made, and what was adjusted by hand today."""

from sqlalchemy import Column, Date
from sqlalchemy import text as sql

from tenancy.table import (
    check,
    document,
    identifier,
    index,
    instant,
    key_text,
    points,
    tenant_table,
    text_column,
)

roles = tenant_table(
    "roles",
    identifier("id"),
    text_column("name"),
    # The name without regard to case: no two roles that are there have the same.
    key_text("folded_name"),
    # Wire names of permissions.
    document("permissions"),
    points("daily_points"),
    instant("created_at"),
    text_column("created_by"),
    instant("changed_at"),
    text_column("changed_by"),
    instant("deleted_at", nullable=True),
    check("daily_points", "daily_points >= 0"),
    index("roles_name_key", "folded_name", unique=True, where=sql("deleted_at IS NULL")),
    of_tenants=True,
)

members = tenant_table(
    "members",
    identifier("id"),
    text_column("name"),
    # The person: an invited address, a subject (`Actor.subject`) after the first sign-in, or both.
    key_text("email", nullable=True),
    key_text("subject", nullable=True),
    # A role of the tenant, or a built-in one, which is no row.
    identifier("role_id"),
    # The external ids of the locations that the person is limited to; null for the whole business.
    document("locations", nullable=True),
    instant("created_at"),
    text_column("created_by"),
    instant("changed_at"),
    text_column("changed_by"),
    # When the person signed in with the address, or was added by their subject.
    instant("joined_at", nullable=True),
    instant("removed_at", nullable=True),
    check("person", "email IS NOT NULL OR subject IS NOT NULL"),
    index("members_subject_key", "subject", unique=True, where=sql("removed_at IS NULL")),
    index("members_email_key", "email", unique=True, where=sql("removed_at IS NULL")),
    index("members_removed_idx", "subject", where=sql("removed_at IS NOT NULL")),
    index("members_time_idx", "created_at", "id"),
    of_tenants=True,
)

adjusted_days = tenant_table(
    "adjusted_days",
    # The subject of the credential that adjusts. Each subject has one row, for the local day of its last adjustment.
    key_text("subject"),
    Column("day", Date, nullable=False),
    points("points"),
    check("points", "points >= 0"),
    key=("subject",),
    of_tenants=True,
)
