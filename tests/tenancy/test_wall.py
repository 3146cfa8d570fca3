"""No table is reachable but through its wall, and nobody may do more than they must."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from loyalty.services.tenant_sweeps import SWEEPS
from migrations.newest import newest_revision
from runtime.roles import DatabaseUrls
from tests.tenancy.catalogue import (
    ADDED_BY_RELAY,
    KEPT_BY_RELAY,
    MIGRATIONS_TABLE,
    PLATFORM_TABLES,
    READ_BY_RELAY,
    Connection,
    find_gaps,
    rights,
    tables,
)

DOCUMENTED_GAPS = {
    # An API token is presented without a tenant: the directory is how the tenant is found, so it is asked by hash, and
    # a row is visible only to a caller with its credential.
    "token_directory has a key or reference that does not begin with tenant_id: token_directory_pkey",
    "token_directory has an index that does not begin with tenant_id: token_directory_pkey",
}

BY_TIME = {
    f"{sweep.due.table} has an index that does not begin with tenant_id: {sweep.due.index.name}" for sweep in SWEEPS
}
"""The relay finds what is due by the time, for all tenants at once. The registry of sweeps names these indexes."""
OF_READERS = "log_readers has an index that does not begin with tenant_id: log_readers_due_at_idx"
"""The worker finds in the same way which logs a reader may read on."""
KNOWN_GAPS = DOCUMENTED_GAPS | BY_TIME | {OF_READERS}

GROWS_ONLY = "INSERT, SELECT"
ADDS_ONLY = "INSERT"
"""What the platform writes inside of a tenant, and cannot read: a new program, and what it did in the audit log."""

APP_RIGHTS = {
    "accounts": "INSERT, SELECT, UPDATE",
    "accruals": (
        "INSERT, SELECT, UPDATE(breakdown), UPDATE(cards_paid_minor), UPDATE(customer_id), UPDATE(earned_points), "
        "UPDATE(matured_at), "
        "UPDATE(matures_at), UPDATE(points), UPDATE(points_paid_minor), UPDATE(raised_standing), "
        "UPDATE(reversed_points), UPDATE(state), UPDATE(taken_points), UPDATE(valuation), UPDATE(voided_points)"
    ),
    "active_days": GROWS_ONLY,
    "active_spans": "INSERT, SELECT, UPDATE(first_day), UPDATE(last_day)",
    "adjusted_days": "INSERT, SELECT, UPDATE(day), UPDATE(points)",
    "adjustments": f"{GROWS_ONLY}, UPDATE(customer_description), UPDATE(internal_note)",
    "allocations": GROWS_ONLY,
    "api_tokens": (
        "INSERT, SELECT, UPDATE(former_ends_at), UPDATE(former_secret_mark), UPDATE(last_used_at), UPDATE(revoked_at), "
        "UPDATE(rotated_by), UPDATE(rotated_with), UPDATE(secret_mark)"
    ),
    "audit_entries": GROWS_ONLY,
    "budgets": "DELETE, INSERT, SELECT, UPDATE",
    "catalog_history": GROWS_ONLY,
    "catalog_items": "DELETE, INSERT, SELECT, UPDATE",
    "checkouts": f"{GROWS_ONLY}, UPDATE(purchase_external_id), UPDATE(version)",
    "credential_revocations": "INSERT, SELECT, UPDATE(revoked_at), UPDATE(revoked_by)",
    "customer_merges": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(reason)",
    "customer_archivings": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(note)",
    "customer_consents": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(source)",
    "customer_profile_changes": "DELETE, INSERT, SELECT",
    "customer_identifiers": "DELETE, INSERT, SELECT, UPDATE(customer_id)",
    "customer_tags": "DELETE, INSERT, SELECT",
    "customer_words": "DELETE, INSERT, SELECT",
    "customers": "INSERT, SELECT, UPDATE",
    "earning_rule_versions": GROWS_ONLY,
    "earning_rules": "INSERT, SELECT, UPDATE",
    "entries": (f"{GROWS_ONLY}, UPDATE(actor_name), UPDATE(actor_name_hash), UPDATE(reason), UPDATE(reason_hash)"),
    "event_positions": "SELECT",
    "events": GROWS_ONLY,
    "expiry_notices": GROWS_ONLY,
    "figures": "INSERT, SELECT, UPDATE(points)",
    "former_valuations": GROWS_ONLY,
    "gift_card_gifts": (
        "INSERT, SELECT, UPDATE(actor), UPDATE(claimed_at), UPDATE(claimer_id), UPDATE(giver_id), UPDATE(message), "
        "UPDATE(recipient_email), UPDATE(recipient_name)"
    ),
    "gift_card_guesses": "DELETE, INSERT, SELECT, UPDATE",
    "gift_card_product_versions": GROWS_ONLY,
    "gift_card_products": "INSERT, SELECT, UPDATE",
    "gift_card_entries": f"{GROWS_ONLY}, UPDATE(reason), UPDATE(reason_hash)",
    "gift_card_holds": (
        "INSERT, SELECT, UPDATE(actor), UPDATE(captured_minor), UPDATE(ended_actor), UPDATE(ended_actor_kind), "
        "UPDATE(ended_at), UPDATE(ended_reason), UPDATE(location), UPDATE(purchase_external_id), "
        "UPDATE(returned_minor), UPDATE(state)"
    ),
    "gift_cards": (
        "INSERT, SELECT, UPDATE(actor), UPDATE(balance_minor), UPDATE(buyer_id), UPDATE(chain), UPDATE(code_hash), "
        "UPDATE(code_sealed), UPDATE(expires_at), UPDATE(held_minor), UPDATE(holder_id), UPDATE(notice_at), "
        "UPDATE(reason), UPDATE(reference), UPDATE(sequence), UPDATE(voided_at)"
    ),
    "hold_lots": "INSERT, SELECT, UPDATE(lowered_points)",
    "holds": "INSERT, SELECT, UPDATE(actor), UPDATE(captured_points), UPDATE(discount_minor), UPDATE(ended_actor), "
    "UPDATE(ended_actor_kind), UPDATE(ended_at), UPDATE(ended_reason), UPDATE(location), UPDATE(lowered_at), "
    "UPDATE(lowered_points), UPDATE(purchase_external_id), UPDATE(state)",
    "idempotency_keys": f"{GROWS_ONLY}, UPDATE(key)",
    "jobs": "INSERT, SELECT, UPDATE",
    "log_readers": "SELECT, UPDATE(attempts), UPDATE(due_at), UPDATE(position), UPDATE(problem)",
    "lots": (
        "INSERT, SELECT, UPDATE(expired), UPDATE(expires_at), UPDATE(held), UPDATE(notice_at), UPDATE(remaining), "
        "UPDATE(state)"
    ),
    "members": (
        "INSERT, SELECT, UPDATE(changed_at), UPDATE(changed_by), UPDATE(joined_at), UPDATE(locations), UPDATE(name), "
        "UPDATE(removed_at), UPDATE(role_id), UPDATE(subject)"
    ),
    "oidc_issuers": (
        "INSERT, SELECT, UPDATE(changed_at), UPDATE(changed_by), UPDATE(client_id), UPDATE(client_secret), "
        "UPDATE(made_with), UPDATE(removed_at), UPDATE(role_claim), UPDATE(roles), UPDATE(version)"
    ),
    "opening_balances": f"{GROWS_ONLY}, UPDATE(actor)",
    "program_versions": GROWS_ONLY,
    "programs": "INSERT, SELECT, UPDATE",
    "provider_logouts": "DELETE, INSERT, SELECT, UPDATE(forget_at), UPDATE(issued_at)",
    "purchase_facts": f"{GROWS_ONLY}, UPDATE(actor_name), UPDATE(digest), UPDATE(facts), UPDATE(report_key)",
    "purchase_refunds": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(reason)",
    "purchases": "INSERT, SELECT, UPDATE",
    "redemption_returns": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(reason)",
    "redemptions": f"{GROWS_ONLY}, UPDATE(actor), UPDATE(purchase_external_id), UPDATE(returned_points)",
    "retention": "INSERT, SELECT, UPDATE",
    "roles": (
        "INSERT, SELECT, UPDATE(changed_at), UPDATE(changed_by), UPDATE(daily_points), UPDATE(deleted_at), "
        "UPDATE(folded_name), UPDATE(name), UPDATE(permissions)"
    ),
    "staff_sessions": "DELETE, INSERT, SELECT, UPDATE(ended_at), UPDATE(last_used_at)",
    "tenant_directory": "SELECT",
    "tenants": "SELECT, UPDATE(allowed_origins), UPDATE(clock_advance_seconds), UPDATE(document_rule), "
    "UPDATE(documents_version), UPDATE(features)",
    "tier_changes": f"{GROWS_ONLY}, UPDATE(actor_name), UPDATE(note)",
    "tiers": "INSERT, SELECT, UPDATE",
    "token_directory": GROWS_ONLY,
    "trusted_documents": "DELETE, INSERT, SELECT",
}
RELAY_RIGHTS = {
    "accounts": "SELECT(tenant_id), SELECT(tier_review_at)",
    "audit_entries": "INSERT",
    "accruals": "SELECT(matures_at), SELECT(state), SELECT(tenant_id)",
    "event_positions": "INSERT, SELECT, UPDATE",
    "events": "SELECT, UPDATE(position)",
    "gift_card_holds": "SELECT(expires_at), SELECT(state), SELECT(tenant_id)",
    "gift_cards": "SELECT(due_at), SELECT(notice_at), SELECT(tenant_id)",
    "holds": "SELECT(expires_at), SELECT(state), SELECT(tenant_id)",
    "jobs": "SELECT",
    "log_readers": (
        "INSERT, SELECT(due_at), SELECT(reaches), SELECT(reader), SELECT(tenant_id), UPDATE(due_at), UPDATE(reaches)"
    ),
    "lots": "SELECT(due_at), SELECT(notice_at), SELECT(state), SELECT(tenant_id)",
    "purchases": "SELECT(evaluates_at), SELECT(tenant_id)",
    "retention": "SELECT(looks_at), SELECT(tenant_id)",
    "platform_actions": "INSERT, SELECT",
    "platform_tenants": "INSERT, SELECT",
    "platform_tokens": "INSERT, SELECT, UPDATE(last_used_at), UPDATE(revoked_at)",
    "program_versions": ADDS_ONLY,
    "programs": ADDS_ONLY,
    "tenant_directory": "INSERT, SELECT",
    "tenants": "INSERT, SELECT, UPDATE(budget_per_second), UPDATE(budget_points), UPDATE(loyalty_entitled), "
    "UPDATE(state)",
}

BREACHES: dict[str, tuple[LiteralString, str]] = {
    "a table without a tenant": (
        "CREATE TABLE breach (id uuid PRIMARY KEY)",
        "breach has no tenant_id uuid NOT NULL",
    ),
    "a tenant that may be missing": (
        "CREATE TABLE breach (tenant_id uuid, id uuid PRIMARY KEY)",
        "breach has no tenant_id uuid NOT NULL",
    ),
    "a tenant that is a text": (
        "CREATE TABLE breach (tenant_id text PRIMARY KEY)",
        "breach has no tenant_id uuid NOT NULL",
    ),
    "a table without a key": (
        "CREATE TABLE breach (tenant_id uuid NOT NULL, id uuid)",
        "breach has no primary key",
    ),
    "a key that crosses tenants": (
        "CREATE TABLE breach (tenant_id uuid NOT NULL, id uuid CONSTRAINT breach_key PRIMARY KEY)",
        "breach has a key or reference that does not begin with tenant_id: breach_key",
    ),
    "a key with the tenant in second place": (
        "ALTER TABLE tiers ADD CONSTRAINT breach UNIQUE (name_key, tenant_id)",
        "tiers has a key or reference that does not begin with tenant_id: breach",
    ),
    "a reference that crosses tenants": (
        """
        ALTER TABLE tiers ADD UNIQUE (id);
        ALTER TABLE accounts ADD CONSTRAINT breach FOREIGN KEY (tier_id) REFERENCES tiers (id) NOT VALID
        """,
        "accounts has a key or reference that does not begin with tenant_id: breach",
    ),
    "a reference that takes another column for the tenant": (
        """
        ALTER TABLE tiers ADD COLUMN other uuid, ADD UNIQUE (other, id);
        ALTER TABLE accounts ADD CONSTRAINT breach FOREIGN KEY (tenant_id, tier_id)
            REFERENCES tiers (other, id) NOT VALID
        """,
        "accounts has a key or reference that does not begin with tenant_id: breach",
    ),
    "a reference that deletes": (
        """
        ALTER TABLE accounts ADD CONSTRAINT breach FOREIGN KEY (tenant_id, tier_id)
        REFERENCES tiers (tenant_id, id) ON DELETE CASCADE NOT VALID
        """,
        "accounts has a reference that acts by itself: breach",
    ),
    "an index that mixes tenants": (
        "CREATE INDEX breach ON entries (occurred_at)",
        "entries has an index that does not begin with tenant_id: breach",
    ),
    "an index over an expression": (
        "CREATE INDEX breach ON customers (lower(email))",
        "customers has an index that does not begin with tenant_id: breach",
    ),
    "an exclusion constraint": (
        "ALTER TABLE tiers ADD CONSTRAINT breach EXCLUDE (min_points WITH =)",
        "tiers has an exclusion constraint: breach",
    ),
    "row-level security that is off": (
        "ALTER TABLE entries DISABLE ROW LEVEL SECURITY",
        "entries has row-level security off or not forced",
    ),
    "row-level security that spares the owner": (
        "ALTER TABLE entries NO FORCE ROW LEVEL SECURITY",
        "entries has row-level security off or not forced",
    ),
    "a table without a policy": (
        "DROP POLICY tenant_wall ON entries",
        "entries has other policies than the wall: none",
    ),
    "a second policy, which is a second door": (
        "CREATE POLICY breach ON entries FOR SELECT USING (kind = 'EARNED')",
        "entries has other policies than the wall: breach for r to public",
    ),
    "a policy that is satisfied without a tenant": (
        "ALTER POLICY tenant_wall ON entries USING (tenant_id = current_setting('app.tenant_id', true)::uuid)",
        "entries has other policies than the wall: tenant_wall for * to treue_app, treue_owner using",
    ),
    "a policy that looks at reads only": (
        """
        DROP POLICY tenant_wall ON tiers;
        CREATE POLICY tenant_wall ON tiers TO treue_app, treue_owner
            USING (tenant_id = current_setting('app.tenant_id')::uuid)
        """,
        "tiers has other policies than the wall: tenant_wall for * to treue_app, treue_owner using",
    ),
    "a wall for everybody": (
        "ALTER POLICY tenant_wall ON tiers TO PUBLIC",
        "tiers has other policies than the wall: tenant_wall for * to public using",
    ),
    "one more table for the relay": (
        "CREATE POLICY relay_sees_all ON customers FOR SELECT TO treue_relay USING (true)",
        "customers has other policies than the wall: relay_sees_all for r to treue_relay using",
    ),
    "a relay that writes where it only reads": (
        "CREATE POLICY relay_keeps_all ON lots TO treue_relay USING (true) WITH CHECK (true)",
        "lots has other policies than the wall: relay_keeps_all for * to treue_relay using",
    ),
    "points in a float": (
        "ALTER TABLE accounts ADD COLUMN breach double precision",
        "accounts keeps numbers that are not exact, or instants without a zone: breach double precision",
    ),
    "money with a comma": (
        "ALTER TABLE purchases ADD COLUMN breach numeric(12, 2)",
        "purchases keeps numbers that are not exact, or instants without a zone: breach numeric(12,2)",
    ),
    "a time without a zone": (
        "ALTER TABLE purchases ADD COLUMN breach timestamp",
        "purchases keeps numbers that are not exact, or instants without a zone: breach timestamp without time zone",
    ),
    "an id that the database makes": (
        "ALTER TABLE tiers ADD COLUMN breach bigint GENERATED ALWAYS AS IDENTITY",
        "tiers numbers its rows by itself: breach",
    ),
    "a sequence": ("CREATE SEQUENCE breach", "breach is not a table: a sequence"),
    "a view": ("CREATE VIEW breach AS SELECT * FROM entries", "breach is not a table: a view"),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW breach AS SELECT 1",
        "breach is not a table: a materialized view",
    ),
    "an enum": (
        "CREATE TYPE breach AS ENUM ('A')",
        "breach is a type that cannot use an index under row-level security",
    ),
    "a routine that acts as its owner": (
        "CREATE FUNCTION breach() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM entries'",
        "breach is a routine: SECURITY DEFINER",
    ),
    "a trigger": (
        """
        CREATE FUNCTION breach() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER breach BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION breach()
        """,
        "entries has a trigger: breach",
    ),
    "a rewrite rule": (
        "CREATE RULE breach AS ON DELETE TO tiers DO INSTEAD NOTHING",
        "tiers has a rewrite rule: breach",
    ),
}


@pytest.fixture(scope="module")
def owner(database_urls: DatabaseUrls) -> Iterator[Connection]:
    """Provide the migrated database as its owner sees it."""
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        yield connection


def test_every_table_is_walled(owner: Connection) -> None:
    """F-19, F-39: the tenant leads every key, reference and index, and the policy is forced."""
    assert set(find_gaps(owner)) == KNOWN_GAPS


def test_the_check_looks_at_every_table(owner: Connection) -> None:
    seen = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {name for (name,) in seen} == {*tables(owner), *PLATFORM_TABLES, MIGRATIONS_TABLE}
    assert set(tables(owner)) == set(APP_RIGHTS)


def test_nobody_may_do_more_than_they_must(owner: Connection) -> None:
    """F-39: the ledger knows no UPDATE and no DELETE, and nobody may truncate, reference or hang triggers on it."""
    assert rights(owner) == {
        "treue_app": {**APP_RIGHTS, MIGRATIONS_TABLE: "SELECT"},
        "treue_relay": {**RELAY_RIGHTS, MIGRATIONS_TABLE: "SELECT"},
    }
    assert {name for name, granted in RELAY_RIGHTS.items() if granted == ADDS_ONLY} == set(ADDED_BY_RELAY)
    assert set(RELAY_RIGHTS) == {*ADDED_BY_RELAY, *KEPT_BY_RELAY, *PLATFORM_TABLES, *READ_BY_RELAY, "tenant_directory"}
    assert all(right.startswith("SELECT") for name in READ_BY_RELAY for right in RELAY_RIGHTS[name].split(", "))


def test_the_relay_sees_just_what_sweeps_look_for(owner: Connection) -> None:
    """F-39: of a table with work for sweeps it reads the tenant, the times, and what says that a row waits."""
    looked_for: dict[str, set[str]] = {}
    for sweep in SWEEPS:
        looked_for.setdefault(sweep.due.table.name, set()).update(sweep.due.read_columns)
    granted = rights(owner)["treue_relay"]
    for table, columns in looked_for.items():
        assert granted[table] == ", ".join(f"SELECT({name})" for name in sorted(columns)), table


def test_serving_roles_can_create_nothing(owner: Connection) -> None:
    for role in ("treue_app", "treue_relay"):
        asked = owner.execute(
            "SELECT has_schema_privilege(%(role)s, 'public', 'CREATE'), "
            "has_database_privilege(%(role)s, current_database(), 'CREATE'), "
            "has_database_privilege(%(role)s, current_database(), 'TEMPORARY'), "
            "pg_has_role(%(role)s, 'treue_owner', 'MEMBER')",
            {"role": role},
        )
        assert asked.fetchone() == (False, False, False, False)


@pytest.mark.parametrize("table", PLATFORM_TABLES)
def test_the_application_cannot_even_read_what_belongs_to_the_platform(
    database_urls: DatabaseUrls, table: LiteralString
) -> None:
    with (
        psycopg.connect(database_urls.app) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(f"SELECT * FROM {table}")


def test_processes_that_serve_read_the_revision_and_cannot_change_it(database_urls: DatabaseUrls) -> None:
    look: LiteralString = f"SELECT version_num FROM {MIGRATIONS_TABLE}"
    change: LiteralString = f"UPDATE {MIGRATIONS_TABLE} SET version_num = '9999'"
    for url in (database_urls.app, database_urls.relay):
        with psycopg.connect(url) as role:
            assert role.execute(look).fetchall() == [(newest_revision(),)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(change)


def test_an_unwalled_table_is_reported(own_database_urls: DatabaseUrls) -> None:
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        assert set(find_gaps(owner)) == KNOWN_GAPS
        owner.execute("CREATE TABLE breach (id uuid PRIMARY KEY, points real)")
        owner.execute("GRANT ALL ON breach TO treue_app")
        assert set(find_gaps(owner)) - KNOWN_GAPS == {
            "breach has no tenant_id uuid NOT NULL",
            "breach has a key or reference that does not begin with tenant_id: breach_pkey",
            "breach has an index that does not begin with tenant_id: breach_pkey",
            "breach has row-level security off or not forced",
            "breach keeps numbers that are not exact, or instants without a zone: points real",
            "breach has other policies than the wall: none",
        }
        assert "TRUNCATE" in rights(owner)["treue_app"]["breach"]


def test_every_breach_is_reported(own_database_urls: DatabaseUrls) -> None:
    for name, (statement, gap) in BREACHES.items():
        with psycopg.connect(own_database_urls.owner) as owner:
            owner.execute(statement)
            reported = [one for one in find_gaps(owner) if one.startswith(gap)]
            owner.rollback()
        assert reported, f"{name} was not reported"
