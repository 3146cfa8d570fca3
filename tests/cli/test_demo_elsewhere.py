"""The demo as root, and on a server that DATABASE_URL names, before and after its folder was deleted."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.postgres import EmbeddedPostgres
from tests.cli.test_demo import ROOT, START_SECONDS, demo, environment_of, wait_for
from tests.cli.test_demo import end as end_demo
from tests.cli.test_serve import data_dir  # noqa: F401 - a fixture
from tests.fixtures.database import OPTIONS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop to another account")
def test_as_root_the_database_runs_as_somebody_else(data_dir: Path) -> None:  # noqa: F811
    """PostgreSQL refuses to run as root; what the demo leaves behind can be started again, and deleted."""
    with demo(data_dir) as process:
        wait_for(process, "Ctrl-C stops everything")
        pids = [int(path.read_text().split()[0]) for path in data_dir.rglob("postmaster.pid")]
        assert [Path(f"/proc/{pid}").stat().st_uid != 0 for pid in pids] == [True]
        assert environment_of(data_dir)["MANAGER"]
        end_demo(process)
    with demo(data_dir, "--check") as process:
        said, _ = process.communicate(timeout=START_SECONDS)
        assert (process.returncode, "Treue is running" in said) == (0, True), said


@pytest.fixture
def named_server() -> Iterator[str]:
    """Provide the administrator's URL of a server of its own, as DATABASE_URL has it."""
    with tempfile.TemporaryDirectory(prefix="treue-named-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with EmbeddedPostgres(folder, OPTIONS) as postgres:
            yield postgres.admin_url
        postgres.remove()


def run(folder: Path, database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return the command with a server that DATABASE_URL names."""
    environment = {**os.environ, "DATABASE_URL": database_url, "TREUE_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def test_on_a_named_server_the_demo_says_how_to_go_on_after_its_folder_is_gone(
    data_dir: Path,  # noqa: F811
    named_server: str,
) -> None:
    """`make demo-reset` deletes the folder, with the passwords of the roles, and leaves the named server alone."""
    first = run(data_dir, named_server, "demo", "--port", "0", "--check")
    assert (first.returncode, "Treue is running" in first.stdout) == (0, True), first
    assert not list(data_dir.rglob("postmaster.pid")), "no embedded server beside the named one"
    assert environment_of(data_dir)["MANAGER"]
    shutil.rmtree(data_dir)
    refused = run(data_dir, named_server, "demo", "--port", "0", "--check")
    assert refused.returncode != 0
    assert "--adopt-roles" in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr + refused.stdout
    adopted = run(data_dir, named_server, "database", "prepare", "--adopt-roles")
    assert adopted.returncode == 0, adopted
    again = run(data_dir, named_server, "demo", "--port", "0", "--check")
    assert (again.returncode, "Treue is running" in again.stdout) == (0, True), again
