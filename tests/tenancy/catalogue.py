"""What PostgreSQL's own catalogue says about the wall: every way in which a schema could be open, as a sentence.

Nothing here reads our declarations: what counts is what the migrated database is.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

MIGRATIONS_TABLE = "alembic_version"
"""It is alembic's, and holds one number, which servers may read."""

PLATFORM_TABLES = ("platform_actions", "platform_tenants", "platform_tokens")
"""They are the platform's and hold nothing of any tenant: the application may not even read them."""

_OF_TENANT = "(tenant_id = (current_setting('app.tenant_id'::text))::uuid)"
_OF_CREDENTIAL = "(sha256 = current_setting('app.credential_sha256'::text, true))"
_WALLED_IN = "treue_app, treue_owner"
_WALL = f"tenant_wall for * to {_WALLED_IN} using {_OF_TENANT} with check {_OF_TENANT}"
_ADDS = f"relay_adds for a to treue_relay with check {_OF_TENANT}"
_SEES_ALL = "relay_sees_all for r to treue_relay using true"
_KEEPS_ALL = "relay_keeps_all for * to treue_relay using true with check true"

READ_BY_RELAY = (
    *("accounts", "accruals", "gift_card_holds", "gift_cards", "holds", "jobs", "lots", "purchases"),
    "retention",
)
"""What the relay reads across tenants: where work is due."""

KEPT_BY_RELAY = ("event_positions", "events", "log_readers", "tenants")
"""What the relay reads and writes across tenants: the outbox, who is behind, and who there is."""

ADDED_BY_RELAY = ("audit_entries", "program_versions", "programs")
"""Where the relay adds a row inside of a tenant, and reads nothing."""

_FOLLOWED = (
    "followed_logs for r to treue_app using "
    "(tenant_id = ANY ((string_to_array(current_setting('app.followed_tenants'::text, true), ','::text))::uuid[]))"
)

_DIRECTORY_POLICIES = [
    f"credential_wall for r to {_WALLED_IN} using {_OF_CREDENTIAL}",
    f"owner_reads for r to treue_owner using {_OF_TENANT}",
    f"tenant_wall for a to {_WALLED_IN} with check {_OF_TENANT}",
]

_QUESTIONS = {
    "is not a table": """
        SELECT c.relname, CASE c.relkind WHEN 'S' THEN 'a sequence' WHEN 'v' THEN 'a view'
                          WHEN 'm' THEN 'a materialized view' ELSE 'of kind ' || c.relkind::text END
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('r', 'p', 'i', 'I')
    """,
    "has no tenant_id uuid NOT NULL": """
        SELECT c.relname, NULL FROM walled c
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                          AND a.atttypid = 'uuid'::regtype AND a.attnotnull AND NOT a.attisdropped)
    """,
    "has no primary key": """
        SELECT c.relname, NULL FROM walled c
        WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
    """,
    "has a key or reference that does not begin with tenant_id": """
        SELECT c.relname, k.conname FROM walled c JOIN pg_constraint k ON k.conrelid = c.oid
        WHERE k.contype IN ('p', 'u', 'f')
          AND NOT (column_at(c.oid, k.conkey[1]) = 'tenant_id'
                   AND (k.contype <> 'f' OR column_at(k.confrelid, k.confkey[1]) = 'tenant_id'))
    """,
    "has an index that does not begin with tenant_id": """
        SELECT c.relname, i.indexrelid::regclass::text FROM walled c JOIN pg_index i ON i.indrelid = c.oid
        WHERE column_at(c.oid, i.indkey[0]) IS DISTINCT FROM 'tenant_id'
    """,
    "has an exclusion constraint": """
        SELECT c.relname, k.conname FROM walled c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype = 'x'
    """,
    "has a reference that acts by itself": """
        SELECT c.relname, k.conname FROM walled c JOIN pg_constraint k ON k.conrelid = c.oid
        WHERE k.contype = 'f' AND (k.confdeltype <> 'a' OR k.confupdtype <> 'a')
    """,
    "has row-level security off or not forced": """
        SELECT c.relname, NULL FROM walled c WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
    """,
    "keeps numbers that are not exact, or instants without a zone": """
        SELECT c.relname, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        FROM walled c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE a.atttypid IN ('real'::regtype, 'double precision'::regtype, 'numeric'::regtype, 'money'::regtype,
                             'timestamp without time zone'::regtype)
    """,
    "numbers its rows by itself": """
        SELECT c.relname, a.attname FROM walled c JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attidentity <> ''
    """,
    "is a type that cannot use an index under row-level security": """
        SELECT t.typname, NULL FROM pg_type t
        WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd', 'r')
    """,
    "has a trigger": """
        SELECT c.relname, t.tgname FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    """,
    "has a rewrite rule": """
        SELECT c.relname, r.rulename FROM walled c JOIN pg_rewrite r ON r.ev_class = c.oid
    """,
    "is a routine": """
        SELECT p.proname, CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
    """,
    "is another schema": """
        SELECT n.nspname, NULL FROM pg_namespace n
        WHERE n.nspname NOT IN ('public', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
    """,
}


def find_gaps(connection: Connection) -> list[str]:
    """Return every way in which the database is not walled, each as `<name> <what is wrong>[: <where>]`."""
    return sorted([*_shape_gaps(connection), *_policy_gaps(connection)])


def tables(connection: Connection) -> list[str]:
    """Return the names of all tables of tenants."""
    return [name for (name,) in connection.execute(f"{_WALLED} SELECT relname FROM walled ORDER BY 1")]


def rights(connection: Connection) -> dict[str, dict[str, str]]:
    """Return who besides the owner may do what with each table: role → table → rights, those of columns in brackets."""
    granted: dict[str, dict[str, set[str]]] = {}
    for role, table, right in connection.execute(_RIGHTS):
        granted.setdefault(role, {}).setdefault(table, set()).add(right)
    return {
        role: {table: ", ".join(sorted(names)) for table, names in by_table.items()}
        for role, by_table in granted.items()
    }


def _shape_gaps(connection: Connection) -> Iterator[str]:
    for gap, question in _QUESTIONS.items():
        asked = question.replace("column_at", "pg_temp.column_at")
        connection.execute(_COLUMN_AT)
        for name, where in connection.execute(f"{_WALLED} {asked}"):
            yield f"{name} {gap}" + (f": {where}" if where else "")


def _policy_gaps(connection: Connection) -> Iterator[str]:
    found: dict[str, list[str]] = {name: [] for name in tables(connection)}
    for table, policy in connection.execute(_POLICIES):
        found.setdefault(table, []).append(policy)
    for table, policies in found.items():
        if policies != _expected_policies(table):
            yield f"{table} has other policies than the wall: {' / '.join(policies) or 'none'}"


def _expected_policies(table: str) -> list[str]:
    """Return the policies that a table must have."""
    if table == "token_directory":
        return _DIRECTORY_POLICIES
    if table == "tenant_directory":
        return [_FOLLOWED, _ADDS, _SEES_ALL, _WALL]
    if table in ADDED_BY_RELAY:
        return [_ADDS, _WALL]
    if table in KEPT_BY_RELAY:
        return [_FOLLOWED, _KEEPS_ALL, _WALL] if table == "event_positions" else [_KEEPS_ALL, _WALL]
    return [_SEES_ALL, _WALL] if table in READ_BY_RELAY else [_WALL]


_WALLED = f"""
    WITH walled AS (
        SELECT c.* FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        AND c.relname NOT IN ('{MIGRATIONS_TABLE}', {", ".join(f"'{name}'" for name in PLATFORM_TABLES)})
    )
"""

# Temporary, so that it is not itself a routine in the schema that is looked at.
_COLUMN_AT = """
    CREATE OR REPLACE FUNCTION pg_temp.column_at(in_table oid, place int2) RETURNS name LANGUAGE sql AS
    'SELECT attname FROM pg_attribute WHERE attrelid = in_table AND attnum = place'
"""

_POLICIES = """
    SELECT c.relname,
           p.polname || ' for ' || p.polcmd::text || ' to ' ||
           (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ', ') FROM unnest(p.polroles) r)
           || coalesce(' using ' || pg_get_expr(p.polqual, p.polrelid), '')
           || coalesce(' with check ' || pg_get_expr(p.polwithcheck, p.polrelid), '')
           || CASE WHEN p.polpermissive THEN '' ELSE ' (restrictive)' END
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid ORDER BY c.relname, p.polname
"""

_RIGHTS = """
    SELECT CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee) END, relname, privilege
    FROM (
        SELECT c.relowner, c.relname, x.grantee, x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) x
        WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT c.relowner, c.relname, x.grantee, x.privilege_type || '(' || a.attname || ')'
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN LATERAL aclexplode(a.attacl) x
        WHERE c.relnamespace = 'public'::regnamespace
    ) AS granted (owner, relname, grantee, privilege)
    WHERE grantee <> owner
"""
