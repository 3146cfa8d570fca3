"""What pgrls, the linter and prover of row-level security, says of the migrated database."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runtime.roles import DatabaseUrls
from tests.tenancy.catalogue import KEPT_BY_RELAY, READ_BY_RELAY, tables

PGRLS = Path(sys.executable).with_name("pgrls")
CONFIG = Path(__file__).with_name("pgrls.toml")

NOT_BY_THE_TENANT = {"event_positions", "tenant_directory", "token_directory"}
"""A row of these is visible to a follower of its log or a caller with its credential: test_attacks.py tries both."""


def ask_pgrls(urls: DatabaseUrls, *command: str) -> Any:
    """Run a command of pgrls on a database, and read its JSON."""
    database = make_conninfo("", **conninfo_to_dict(urls.owner))
    asked = [str(PGRLS), *command, "--config", str(CONFIG), "--format", "json", "--database-url", database]
    return json.loads(subprocess.run(asked, capture_output=True, text=True, check=False, timeout=300).stdout)


def find_violations(urls: DatabaseUrls) -> set[str]:
    """Return what the linter finds, as `<rule> <table and policy>`."""
    return {f"{one['rule_id']} {one['location']}" for one in ask_pgrls(urls, "lint")["violations"]}


def find_verdicts(urls: DatabaseUrls, mode: str) -> dict[str, str]:
    """Tell whether tenants are proven apart: table → `isolated`, `leak` or `unverified`."""
    proofs = ask_pgrls(urls, "verify", "--mode", mode)["tables"]
    return {one["table"].removeprefix("public."): one["verdict"] for one in proofs}


def leave_out_the_relay(urls: DatabaseUrls) -> None:
    """Drop the policies of the relay, which sees what is due across tenants by design."""
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        for table in (*READ_BY_RELAY, "tenant_directory"):
            owner.execute(f"DROP POLICY relay_sees_all ON {table}")
        for table in KEPT_BY_RELAY:
            owner.execute(f"DROP POLICY relay_keeps_all ON {table}")


def test_the_linter_finds_nothing(database_urls: DatabaseUrls) -> None:
    """F-39: each exemption stands in pgrls.toml with its reason."""
    assert find_violations(database_urls) == set()


def test_the_linter_finds_a_wall_for_everybody(own_database_urls: DatabaseUrls) -> None:
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        owner.execute("ALTER POLICY tenant_wall ON tiers TO PUBLIC")
    assert find_violations(own_database_urls) == {"SEC003 public.tiers.tenant_wall"}


@pytest.mark.parametrize("mode", ["cross-tenant", "write"])
def test_tenants_are_proven_apart(own_database_urls: DatabaseUrls, mode: str) -> None:
    """F-39: no setting of the application role reads or writes a row of another tenant."""
    leave_out_the_relay(own_database_urls)
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        expected = dict.fromkeys(tables(owner), "isolated")
        if mode == "cross-tenant":
            expected |= dict.fromkeys(NOT_BY_THE_TENANT, "unverified")
        assert find_verdicts(own_database_urls, mode) == expected
        owner.execute("ALTER POLICY tenant_wall ON tiers USING (true) WITH CHECK (true)")
        owner.execute(
            "ALTER POLICY tenant_wall ON lots USING (tenant_id IS NOT NULL) WITH CHECK (tenant_id IS NOT NULL)"
        )
    found = find_verdicts(own_database_urls, mode)
    assert {name for name, verdict in found.items() if verdict != expected[name]} == {"tiers", "lots"}
