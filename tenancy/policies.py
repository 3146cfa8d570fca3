"""The row-level security of every walled table, as DDL for migrations.

There is one form of policy, for the application and for the owner who migrates. No policy is for everybody (PUBLIC). A
policy has no function and no sub-select: distributed PostgreSQL refuses those. And an IMMUTABLE function returned
another tenant's row after psycopg had prepared the statement.
"""

APP = "treue_app"
RELAY = "treue_relay"
WALLED_IN = f"{APP}, CURRENT_ROLE"
"""The roles that the wall limits to the rows of one tenant: the application, and the owner, who runs the migration."""

TENANT_SETTING = "app.tenant_id"
CREDENTIAL_SETTING = "app.credential_sha256"
FOLLOWED_SETTING = "app.followed_tenants"
NO_TENANT = "00000000-0000-0000-0000-000000000000"
"""Set as the tenant for a statement about no single tenant: no tenant has this id, so the wall shows no rows."""

_OF_TENANT = f"tenant_id = current_setting('{TENANT_SETTING}')::uuid"
_OF_FOLLOWED = f"tenant_id = ANY (string_to_array(current_setting('{FOLLOWED_SETTING}', true), ',')::uuid[])"
_OF_CREDENTIAL = f"sha256 = current_setting('{CREDENTIAL_SETTING}', true)"


def wall(table: str, *, app: str) -> list[str]:
    """Return the statements that wall a tenant's table: RLS is forced, and shows only rows of the current tenant.

    ``app`` are the rights of the application role, for example ``SELECT, INSERT`` for a ledger that only grows.
    """
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_wall ON {table} TO {WALLED_IN} USING ({_OF_TENANT}) WITH CHECK ({_OF_TENANT})",
        f"GRANT {app} ON {table} TO {APP}",
    ]


def visible_to_relay(table: str, *, rights: str) -> list[str]:
    """Return the statements that let the relay role read rows of all tenants in a table.

    ``rights`` limit what it reads, for example ``SELECT`` on the columns that tell which tenants have due work.
    """
    return [
        f"CREATE POLICY relay_sees_all ON {table} FOR SELECT TO {RELAY} USING (true)",
        f"GRANT {rights} ON {table} TO {RELAY}",
    ]


def kept_by_relay(table: str) -> str:
    """Return the statement that opens a table to the relay role across tenants, as far as the role has rights on it.

    It is for the outbox, its positions and readers, and the list of tenants.
    """
    return f"CREATE POLICY relay_keeps_all ON {table} TO {RELAY} USING (true) WITH CHECK (true)"


def added_by_relay(table: str) -> list[str]:
    """Return the statements that let the relay role add rows of a tenant, inside of that tenant.

    The role cannot read these rows again.
    """
    return [
        f"CREATE POLICY relay_adds ON {table} FOR INSERT TO {RELAY} WITH CHECK ({_OF_TENANT})",
        f"GRANT INSERT ON {table} TO {RELAY}",
    ]


def visible_to_followers(table: str) -> list[str]:
    """Return the statement that lets the application read rows of the tenants that a transaction names, and no others.

    It is for the newest positions of logs: a process asks once for all logs that its subscriptions follow.
    """
    return [f"CREATE POLICY followed_logs ON {table} FOR SELECT TO {APP} USING ({_OF_FOLLOWED})"]


def read_inside_tenant(table: str) -> str:
    """Return the statement that lets the owner read the rows of a directory inside their tenant: a move copies them."""
    return f"CREATE POLICY owner_reads ON {table} FOR SELECT TO CURRENT_ROLE USING ({_OF_TENANT})"


def wall_of_directory(table: str) -> list[str]:
    """Return the statements that wall a directory.

    A row is visible only to who presents its credential, and is written only inside its tenant.
    """
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY credential_wall ON {table} FOR SELECT TO {WALLED_IN} USING ({_OF_CREDENTIAL})",
        f"CREATE POLICY tenant_wall ON {table} FOR INSERT TO {WALLED_IN} WITH CHECK ({_OF_TENANT})",
        f"GRANT SELECT, INSERT ON {table} TO {APP}",
    ]
