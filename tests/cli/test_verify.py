import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from loyalty.ledger.proof.asking import INVARIANTS
from loyalty.rules.chain import CHAIN_START
from loyalty.rules.entry import entry_hash
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import earn, one_point_per_euro, order


def verify(urls: DatabaseUrls, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator would, with the URLs of the serving roles alone."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TREUE_APP_URL": urls.app,
        "TREUE_RELAY_URL": urls.relay,
    }
    command = [sys.executable, "-m", "cli.main", "verify", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


async def two_salons_with_points(urls: DatabaseUrls) -> tuple[Salon, Salon]:
    """Return two tenants with one purchase each."""
    owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=1)
    world = World(app)
    salons = []
    for name in ("Salon One", "Salon Two"):
        tenant = await provision_tenant(
            World(owner), name=name, currency="EUR", time_zone="Europe/Berlin", locale="de-DE"
        )
        salons.append(salon_of(tenant))
        await create_earning_rule(world, salons[-1].manager, one_point_per_euro())
        await earn(world, salons[-1], order("first"))
    await owner.close()
    await app.close()
    return salons[0], salons[1]


async def test_a_ledger_that_adds_up_is_said_to(own_database_urls: DatabaseUrls) -> None:
    """F-36: all tenants, each by name, exit code 0."""
    await two_salons_with_points(own_database_urls)
    said = verify(own_database_urls)
    assert said.returncode == 0, said.stderr
    assert all(f"({len(INVARIANTS)} invariants, 1 entries, " in line for line in said.stdout.splitlines())
    assert sorted(line.split("  ")[1].split(" (")[0] for line in said.stdout.splitlines()) == [
        "Salon One: adds up",
        "Salon Two: adds up",
    ]


async def test_a_difference_is_named_and_the_exit_code_is_1(own_database_urls: DatabaseUrls) -> None:
    """F-36: a balance that somebody changed in the database is found, in its tenant and in no other."""
    one, two = await two_salons_with_points(own_database_urls)
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(two.tenant_id)])
        owner.execute("UPDATE accounts SET available = available + 1")
    said = verify(own_database_urls)
    assert said.returncode == 1
    assert f"{one.tenant_id}  Salon One: adds up" in said.stdout
    assert f"{two.tenant_id}  Salon Two: does not add up" in said.stdout
    assert "an account is the sum of its entries" in said.stdout
    assert verify(own_database_urls, "--tenant", str(one.tenant_id)).returncode == 0


async def test_a_digest_kept_elsewhere_tells_whether_the_past_was_rewritten(own_database_urls: DatabaseUrls) -> None:
    """F-36: an owner of the tables who computes the chain again passes every invariant, and fails the digest."""
    salon, _ = await two_salons_with_points(own_database_urls)
    asked = ("--tenant", str(salon.tenant_id), "--heads-at", "2026-01-01T00:00:00Z")
    with psycopg.connect(own_database_urls.owner, autocommit=True) as owner:
        owner.execute("SELECT set_config('app.tenant_id', %s, false)", [str(salon.tenant_id)])
        owner.execute("UPDATE entries SET occurred_at = '2025-06-01Z'")
        chain_anew(owner)
        said = verify(own_database_urls, *asked)
        assert said.returncode == 0, said.stdout
        digest = said.stdout.splitlines()[-1].split(": ")[1]
        assert len(bytes.fromhex(digest)) == 32
        assert verify(own_database_urls, *asked, "--expect", digest).returncode == 0
        owner.execute("UPDATE entries SET actor = 'nobody'")
        chain_anew(owner)
        rewritten = verify(own_database_urls, *asked, "--expect", digest)
    assert rewritten.returncode == 1
    assert "Salon One: adds up" in rewritten.stdout
    assert f"Not the expected digest {digest}" in rewritten.stdout


def chain_anew(owner: psycopg.Connection[TupleRow]) -> None:
    """Compute the hash of a customer's only entry again, and tell the account."""
    for (entry,) in owner.execute("SELECT to_jsonb(e) FROM entries e").fetchall():
        values = {**entry, "occurred_at": datetime.fromisoformat(entry["occurred_at"])}
        chain = entry_hash(CHAIN_START, values)
        owner.execute("UPDATE entries SET hash = %s WHERE id = %s", [chain, entry["id"]])
        owner.execute("UPDATE accounts SET chain = %s WHERE customer_id = %s", [chain, entry["customer_id"]])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tenant", "01890000-0000-7000-8000-000000000000"], "There is no tenant 01890000"),
        (["--heads-at", "yesterday"], "no ISO 8601 instant"),
        (["--heads-at", "2026-01-01T00:00:00"], "needs an offset"),
        (["--heads-at", "2999-01-01T00:00:00Z"], "at least a minute ago"),
        (["--expect", "00"], "--expect needs"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_wrong_arguments_are_named(database_urls: DatabaseUrls, arguments: list[str], problem: str) -> None:
    said = verify(database_urls, *arguments)
    assert said.returncode in {1, 2}
    assert problem in said.stderr
