"""Run a service for measurements: a database, a tenant with customers, a server and a worker."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from uuid_utils.compat import uuid7

from api.issuer import Issuer
from loyalty.rules.budget import MOST_BUDGET_POINTS
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning_rule import EarningRule, PerAmountAward
from loyalty.rules.ids import CustomerId, RuleId, TenantId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from migrations.run import upgrade
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls, prepare_database
from tenancy.database import Database

HOST = "127.0.0.1"
BATCH = 1_000
LIFETIME = timedelta(hours=6)
OPTIONS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
START_SECONDS = 60
STOP_SECONDS = 30


class Service(NamedTuple):
    """A running service with its tenant, for a measurement."""

    urls: DatabaseUrls
    admin_url: str
    """The URL of the superuser, whom no policy binds."""
    postmaster: int
    """The process id of the PostgreSQL server."""
    issuer: Issuer
    tenant_id: TenantId
    manager: Actor
    world: World
    port: int
    server: subprocess.Popen[bytes]
    log: Path

    def manager_token(self) -> str:
        """Return a signed token of a manager."""
        return self._token(Role.MANAGER, "staff:manager")

    def owner_token(self) -> str:
        """Return a signed token of an owner."""
        return self._token(Role.OWNER, "staff:owner")

    def customer_token(self, customer_id: CustomerId) -> str:
        """Return a signed token of a customer."""
        return self._token(Role.CUSTOMER, str(customer_id))

    def _token(self, role: Role, subject: str) -> str:
        """Return a signed token for a role and a subject."""
        return self.issuer.issue(
            subject=subject, tenant_id=self.tenant_id, role=role, name="Bench", lifetime=LIFETIME
        ).text

    def memory_mib(self) -> float:
        """Return the resident memory of the server process, in MiB."""
        pages = int(Path(f"/proc/{self.server.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        """Return the processor time of the server process, in seconds."""
        return cpu_seconds_of(self.server.pid)

    async def buy(self, first: int, last: int) -> list[CustomerId]:
        """Record a purchase of each customer from number ``first`` to number ``last``.

        Return the ids of the customers.
        """
        return await record_orders(self.world, self.manager, first, last)

    def logged(self, level: str) -> int:
        """Return how many lines of a level the processes have logged."""
        return self.log.read_bytes().count(f'"level":"{level}"'.encode())


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time of a process, in seconds."""
    return sum(map(int, _read_stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def database_cpu_seconds(postmaster: int) -> float:
    """Return the processor time of PostgreSQL in seconds.

    It counts the server process with this id, its children that still run, and its children that have ended.
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            fields = _read_stat(pid)
            if pid == postmaster:
                total += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                total += sum(map(int, fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def _read_stat(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` after the name of the process, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()


def postmaster_of(postgres: EmbeddedPostgres) -> int:
    """Return the process id of a PostgreSQL server."""
    return int((postgres.data / "postmaster.pid").read_text("utf-8").split()[0])


def pin_servers(pids: Iterable[int]) -> None:
    """Put the servers on one core and this process on another, if there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        for pid in pids:
            os.sched_setaffinity(pid, {cores[0]})
        os.sched_setaffinity(0, {cores[1]})


async def record_orders(
    world: World, actor: Actor, first: int, last: int, customer: str | None = None
) -> list[CustomerId]:
    """Record a purchase of each customer from number ``first`` to number ``last``, or all of one ``customer``.

    Return the ids of the customers. A refusal ends the run.
    """
    recordings = [
        PurchaseRecording(
            PurchaseReport(PurchaseKind.ORDER, f"order-{number}", Money(1000, "EUR")),
            PurchaseStatus.COMPLETED,
            CustomerProfile(customer or f"customer-{number}"),
        )
        for number in range(first, last + 1)
    ]
    bought: list[CustomerId] = []
    for start in range(0, len(recordings), BATCH):
        for result in await record_purchases(world, actor, recordings[start : start + BATCH]):
            if not isinstance(result, RecordedPurchase):
                raise SystemExit(f"a purchase was refused: {result}")
            bought.append(result.customer.id)
    return bought


async def prepare_tenant(urls: DatabaseUrls, world: World) -> Actor:
    """Make a tenant in which a euro gives a point. Return an actor who may do everything there."""
    owner = Database(urls.owner, pool_size=1)
    tenant = await provision_tenant(World(owner), name="Bench", currency="EUR", time_zone="Europe/Berlin", locale="de")
    await owner.close()
    manager = owner_of(tenant.tenant_id)
    rule = EarningRule(RuleId(uuid7()), "A point per euro", 1, 0, True, PerAmountAward(1, 100))
    await create_earning_rule(world, manager, rule)
    return manager


@contextlib.asynccontextmanager
async def running_service() -> AsyncIterator[Service]:
    """Run a service during the block. After the block everything that it wrote is deleted."""
    folder = make_folder()
    postgres = EmbeddedPostgres(folder, OPTIONS)
    try:
        with postgres:
            urls = prepare_database(postgres.admin_url, folder, "treue_bench", adopt_roles=True)
            upgrade(urls.owner)
            issuer = Issuer.generate(folder / "issuer-key.pem")
            app = Database(urls.app, pool_size=2)
            world = World(app)
            manager = await prepare_tenant(urls, world)
            log = folder / "log"
            with _processes(urls, folder, log) as (port, server):
                await asyncio.to_thread(_wait_until_ready, port, server, log)
                yield Service(
                    urls,
                    postgres.admin_url,
                    postmaster_of(postgres),
                    issuer,
                    manager.tenant_id,
                    manager,
                    world,
                    port,
                    server,
                    log,
                )
            await app.close()
        postgres.remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def run_clients(ask: Callable[[int], Coroutine[Any, Any, None]], count: int) -> AsyncIterator[None]:
    """Let ``count`` clients ask during the block. ``ask`` gets the number of the client, from 0 on.

    The clients are cancelled at the end of the block.
    """
    tasks = [asyncio.create_task(ask(number)) for number in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_folder() -> Path:
    """Make a folder for a database server. The account that runs PostgreSQL for root can enter it."""
    folder = Path(tempfile.mkdtemp(prefix="treue-bench-"))
    folder.chmod(0o711)  # the account that runs PostgreSQL for root has to come through
    return folder


def owner_of(tenant_id: TenantId) -> Actor:
    """Return an actor who may do everything in a tenant."""
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=tenant_id,
        subject="staff:manager",
        permissions=ROLE_PERMISSIONS[Role.OWNER],
        display="Bench",
    )


@contextlib.contextmanager
def _processes(urls: DatabaseUrls, folder: Path, log: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server and a worker during the block. Yield the port and the process of the server."""
    port = _free_port()
    environment = _environment(urls, folder)
    with (
        _process(log, environment, "serve", "--host", HOST, "--port", str(port)) as server,
        _process(log, environment, "worker"),
    ):
        yield port, server


@contextlib.contextmanager
def another_server(service: Service, settings: Mapping[str, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run one more server over the same database during the block, with these settings. Yield its port and process."""
    port = _free_port()
    environment = {**_environment(service.urls, service.log.parent), **settings}
    with _process(service.log, environment, "serve", "--host", HOST, "--port", str(port)) as server:
        _wait_until_ready(port, server, service.log)
        yield port, server


def _free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(urls: DatabaseUrls, folder: Path) -> dict[str, str]:
    """Return the environment of a process of the service."""
    return {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        "TREUE_DATA_DIR": str(folder),
        "TREUE_ISSUER_KEY_FILE": str(folder / "issuer-key.pem"),
        "TREUE_OWNER_URL": urls.owner,
        "TREUE_APP_URL": urls.app,
        "TREUE_RELAY_URL": urls.relay,
        "TREUE_LOG_LEVEL": "WARNING",
        # One client asks for more than anybody may. Slices are as large as ever, so they are booked as often.
        "TREUE_BUDGET_POINTS_PER_SECOND": str(MOST_BUDGET_POINTS),
    }


@contextlib.contextmanager
def _process(log: Path, environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `treue` command during the block."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)  # noqa: S603 - ours
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process; kill it if it does not end in time."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers. The run ends if the server ends, or is not ready in time."""
    for _ in range(START_SECONDS * 10):
        if server.poll() is not None:
            raise SystemExit(f"the server ended: {log.read_text('utf-8')[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit("the server did not become ready")
