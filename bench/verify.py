"""Measure how long `treue verify` takes for millions of entries, and compare with a plain scan of the same table.

    make bench-verify                         1,000,000 entries, in a database of its own that is deleted afterwards
    make bench-verify ARGS="--entries 10000000 --small-share 0"     one tenant has all of them

The command runs as an operator would run it. Wall time on a machine that others use too says little, so the processor
time of its connections is printed as well: on two idle cores it takes about half of that.
"""

import argparse
import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bench.ledger import BIG_TENANT, Builder, build
from bench.service import cpu_seconds_of
from migrations.run import upgrade
from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls, prepare_database

BYTES_OF_AN_ENTRY = 3_400
"""The space of an entry on disk, with all rows that belong to it and the indexes."""

OPTIONS = {
    # The data is made for this once and need not survive a power cut. None of this touches reading.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
    # What a database of this size would be given: a third of the memory of this machine.
    "shared_buffers": "8GB",
}
PEER = "SELECT count(*), sum(points) FROM entries"


class Measure(NamedTuple):
    """The times of one run."""

    name: str
    seconds: float
    cpu_seconds: float | None = None


class Server(NamedTuple):
    """The addresses of the database with the ledger."""

    urls: DatabaseUrls
    admin_url: str


def main() -> None:
    """Build the ledger, measure, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--per-customer", type=int, default=100, help="a multiple of 10")
    parser.add_argument(
        "--small-share", type=int, default=10, help="per cent of the customers that belong to 20 small tenants"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2, help="the first one reads a cold cache, as far as it can")
    parser.add_argument(
        "--previous", type=Path, help="a module whose INVARIANTS map a name to a query, to compare with"
    )
    parser.add_argument("--data-dir", type=Path, help="keep the database there, and use it again")
    wanted = parser.parse_args()
    with _server(wanted) as server:
        _say_where(wanted, server)
        for _ in range(wanted.runs):
            _tell(_scan(server), wanted.entries)
            _tell(_verify(server, wanted.workers), wanted.entries)
            if wanted.previous:
                _tell(_previous(server, wanted.previous), wanted.entries)


def _tell(measure: Measure, entries: int) -> None:
    """Print the times of a run."""
    cpu = "" if measure.cpu_seconds is None else f"   {measure.cpu_seconds:7.1f} s of processor time"
    load = os.getloadavg()[0]
    each = f"{entries / measure.seconds:11,.0f} entries/s"
    print(f"{measure.name:36} {measure.seconds:7.1f} s   {each}{cpu}   load {load:.1f}", flush=True)


@contextlib.contextmanager
def _server(wanted: argparse.Namespace) -> Iterator[Server]:
    """Run a server with the ledger on it during the block. A folder that was made for this run is removed."""
    folder = wanted.data_dir or Path(tempfile.mkdtemp(prefix="treue-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    needed = wanted.entries * BYTES_OF_AN_ENTRY
    postgres = EmbeddedPostgres(folder, OPTIONS)
    try:
        with postgres:
            name = f"treue_bench_{wanted.entries}_{wanted.per_customer}_{wanted.small_share}"
            server = Server(
                prepare_database(postgres.admin_url, folder, name, adopt_roles=True),
                postgres.admin_url.replace("/postgres?", f"/{name}?"),
            )
            upgrade(server.urls.owner)
            if not _is_built(server):
                if shutil.disk_usage(folder).free < needed:
                    raise SystemExit(f"{folder} has no room for {needed / 1e9:.0f} GB: name another with --data-dir.")
                started = time.monotonic()
                build(server.admin_url, Builder.of(wanted.entries, wanted.per_customer, wanted.small_share))
                print(f"built in {time.monotonic() - started:.0f} s", flush=True)
            yield server
        if wanted.data_dir is None:
            postgres.remove()
    finally:
        if wanted.data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)


def _is_built(server: Server) -> bool:
    """Tell whether the database has the ledger already."""
    with psycopg.connect(server.admin_url) as connection:
        return connection.execute("SELECT EXISTS (SELECT FROM accounts)").fetchone() == (True,)


def _say_where(wanted: argparse.Namespace, server: Server) -> None:
    """Print the size of the ledger, and the machine."""
    with psycopg.connect(server.admin_url) as connection:
        (size, version) = connection.execute(
            "SELECT pg_size_pretty(pg_database_size(current_database())), current_setting('server_version')"
        ).fetchone() or ("", "")
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{wanted.entries:,} entries, {size}, PostgreSQL {version}, {os.cpu_count()} cores, load before {load}")
    print(f"{platform.platform()}; {', '.join(f'{name} {value}' for name, value in OPTIONS.items())}", flush=True)


def _scan(server: Server) -> Measure:
    """Measure the least that any proof has to do: to read the entries once."""
    with psycopg.connect(server.admin_url) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        started, before = time.monotonic(), _cpu_of(connection)
        connection.execute(PEER)
        return Measure(PEER[:34], time.monotonic() - started, _cpu_of(connection) - before)


def _verify(server: Server, workers: int) -> Measure:
    """Measure the command for all tenants."""
    environment = {
        **os.environ,
        "TREUE_APP_URL": server.urls.app,
        "TREUE_RELAY_URL": server.urls.relay,
    }
    command = [sys.executable, "-m", "cli.main", "verify", "--workers", str(workers)]
    started = time.monotonic()
    with (
        psycopg.connect(server.admin_url, autocommit=True) as watcher,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process,  # noqa: S603 - ours
    ):
        cpu: dict[int, float] = {}
        while process.poll() is None:
            cpu |= _cpu_of_verification(watcher)
            time.sleep(0.1)
        said = process.stdout.read() if process.stdout else ""
    seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"The ledger should add up:\n{said}")
    print(said.splitlines()[0], flush=True)
    return Measure(f"treue verify --workers {workers}", seconds, sum(cpu.values()))


def _previous(server: Server, path: Path) -> Measure:
    """Measure the queries of a module, one after another over one connection, for the large tenant alone.

    So the check was done before.
    """
    spec = importlib.util.spec_from_file_location("previous", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with psycopg.connect(server.urls.app) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [BIG_TENANT])
        connection.execute("SET LOCAL statement_timeout = 0")
        started, before = time.monotonic(), _cpu_of(connection)
        for question in module.INVARIANTS.values():
            asked = question.replace(":current_tenant", sql.Literal(BIG_TENANT).as_string(connection) + "::uuid")
            connection.execute(asked.encode()).fetchmany(1)
        return Measure("before: one query for each invariant", time.monotonic() - started, _cpu_of(connection) - before)


def _cpu_of(connection: psycopg.Connection[TupleRow]) -> float:
    """Return the processor seconds of the server process behind a connection; 0 if /proc does not tell."""
    return _cpu_of_process(connection.info.backend_pid)


def _cpu_of_verification(watcher: psycopg.Connection[TupleRow]) -> dict[int, float]:
    """Return the processor seconds of the connections of the command, by process."""
    rows = watcher.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'treue-verify'").fetchall()
    return {pid: seconds for (pid,) in rows if (seconds := _cpu_of_process(pid))}


def _cpu_of_process(pid: int) -> float:
    """Return the processor seconds of a process; 0 if /proc does not tell."""
    try:
        return cpu_seconds_of(pid)
    except OSError:
        return 0


if __name__ == "__main__":
    main()
