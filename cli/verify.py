"""`treue verify`: prove the ledger."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import click

from cli.clusters import open_database, refuse_old_home
from loyalty.ledger.proof.asking import INVARIANTS
from loyalty.ledger.proof.slicing import STATEMENT_TIMEOUT_MS
from loyalty.rules.ids import TenantId
from loyalty.services.verification import Progress, digest_heads, is_large, verify_ledger
from loyalty.services.world import World
from runtime.databases import provide_clusters
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, RELAY_ROLE, DatabaseUrls
from runtime.settings import load_settings
from tenancy.provisioning import list_tenants

DEFAULT_WORKERS = 2
ANSWER_SECONDS = STATEMENT_TIMEOUT_MS / 1_000 + 5
"""The time limit for an answer of the database: the statements of this command take longer than those of requests."""

MAX_WORKERS = 16
PROGRESS_SECONDS = 5
HEADS_AGE = timedelta(minutes=1)
"""The moment of a digest must be at least this long ago: an entry that is being written could still get an earlier
time."""


Named = tuple[TenantId, str]
"""A tenant's id and its name."""


class Wanted(NamedTuple):
    """The options of the command."""

    tenant_id: uuid.UUID | None
    workers: int
    heads_at: datetime | None
    expected: str | None


@click.command()
@click.option("--tenant", "tenant_id", type=click.UUID, help="Only this tenant; without it all of them.")
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=DEFAULT_WORKERS,
    show_default=True,
    help="Connections that share the work on a large ledger.",
)
@click.option(
    "--heads-at", help="Also print a digest of all chains as they were at this instant, such as 2026-01-01T00:00:00Z."
)
@click.option(
    "--expect",
    "expected",
    help="The digest that was printed before for the same --tenant and --heads-at. Exit code 1 if it differs.",
)
def verify(tenant_id: uuid.UUID | None, workers: int, heads_at: str | None, expected: str | None) -> None:
    """Check every invariant of the ledger. The exit code is 1 if one does not hold; the differences are printed."""
    if expected is not None and (tenant_id is None or heads_at is None):
        raise click.UsageError("--expect needs --tenant and --heads-at.")
    wanted = Wanted(tenant_id, workers, None if heads_at is None else _read_moment(heads_at), expected)
    with provide_clusters(load_settings(), APP_ROLE, RELAY_ROLE) as clusters:
        broken = asyncio.run(_verify_tenants(clusters, wanted))
    if broken:
        raise SystemExit(1)


def _read_moment(written: str) -> datetime:
    """Read the option --heads-at. Refuses an instant without an offset, and one that is too recent."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise click.UsageError(f"--heads-at: {written!r} is no ISO 8601 instant.") from None
    if moment.tzinfo is None:
        raise click.UsageError("--heads-at needs an offset from UTC, such as Z.")
    if moment > datetime.now(UTC) - HEADS_AGE:
        raise click.UsageError("--heads-at must be at least a minute ago.")
    return moment


async def _verify_tenants(clusters: Mapping[str, DatabaseUrls], wanted: Wanted) -> int:
    """Check the tenants; returns how many have differences."""
    app = open_database(clusters, "app", pool_size=wanted.workers, answer_seconds=ANSWER_SECONDS, name="treue-verify")
    relay = open_database(clusters, "relay", pool_size=1, name="treue-verify")
    try:
        await refuse_old_home(relay)
        listed = [one for one in await list_tenants(relay) if wanted.tenant_id in (None, one.tenant_id)]
        tenants = [(one.tenant_id, one.name) for one in listed]
        if wanted.tenant_id is not None and not tenants:
            raise SetupProblem(f"There is no tenant {wanted.tenant_id}.")
        return await _check_all(World(app), tenants, wanted)
    finally:
        await app.close()
        await relay.close()


async def _check_all(world: World, tenants: Iterable[Named], wanted: Wanted) -> int:
    """Check small ledgers side by side, one in each worker. Then check large ones, which all workers share."""
    pile, large, sound = iter(tenants), list[Named](), list[bool]()

    async def work_off() -> None:
        for named in pile:
            if await is_large(world, named[0]):
                large.append(named)
            else:
                sound.append(await _check_tenant(world, named, wanted))

    async with asyncio.TaskGroup() as group:
        for _ in range(wanted.workers):
            group.create_task(work_off())
    for named in large:
        sound.append(await _check_tenant(world, named, wanted))
    return sound.count(False)


async def _check_tenant(world: World, named: Named, wanted: Wanted) -> bool:
    """Check the ledger of one tenant, print the result in one piece, and return whether it is right.

    It is right if all invariants hold, and the digest of its chains is the expected one, if one is expected.
    """
    started, (tenant_id, name) = time.monotonic(), named
    verification = await verify_ledger(world, tenant_id, workers=wanted.workers, progress=_make_progress(name, started))
    seconds = time.monotonic() - started
    digest = await digest_heads(world, tenant_id, wanted.heads_at) if wanted.heads_at else None
    verdict = "does not add up" if verification.differences else "adds up"
    looked_at = f"{len(INVARIANTS)} invariants, {verification.entries:,} entries, {seconds:.1f} s"
    click.echo(f"{tenant_id}  {name}: {verdict} ({looked_at})")
    for difference in verification.differences:
        click.echo(f"  {difference}")
    return _check_digest(digest, wanted) and not verification.differences


def _check_digest(digest: str | None, wanted: Wanted) -> bool:
    """Print the digest of the chains if the options ask for it; returns whether it is the expected one."""
    if digest is None or wanted.heads_at is None:
        return True
    click.echo(f"  heads at {wanted.heads_at.isoformat()}: {digest}")
    if wanted.expected in (None, digest):
        return True
    click.echo(f"  Not the expected digest {wanted.expected}: entries of before that moment are not what they were.")
    return False


def _make_progress(name: str, started: float) -> Progress:
    """Return a function that prints the progress of a long check on stderr now and then."""
    told = started

    def tell(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            click.echo(f"{name}: {done} of {total} passes, {now - started:.0f} s", err=True)

    return tell
