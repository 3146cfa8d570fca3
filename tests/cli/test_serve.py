import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from runtime.postgres import EmbeddedPostgres
from tests.fixtures.server import free_port

GENEROUS_SECONDS = 120


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Provide a folder of one's own for an embedded server."""
    folder = Path(tempfile.mkdtemp(prefix="treue-serve-"))
    folder.chmod(0o711)  # the account that runs the server for root has to come through
    yield folder / "data"
    EmbeddedPostgres(folder / "data").remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=lambda end: end.name)
def test_a_server_that_is_told_to_end_takes_its_embedded_database_along(data_dir: Path, end: signal.Signals) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"TREUE_DATA_DIR": str(data_dir), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "cli.main"]
    subprocess.run([*command, "migrate"], check=True, env=environment, capture_output=True)
    with subprocess.Popen(
        [*command, "serve", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL
    ) as server:
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not _is_ready(port):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.send_signal(end)
        assert server.wait(GENEROUS_SECONDS) == 0
    assert not EmbeddedPostgres(data_dir).is_running


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_a_server_says_where_it_listens_and_takes_any_free_port(data_dir: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"TREUE_DATA_DIR": str(data_dir), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "cli.main"]
    subprocess.run([*command, "migrate"], check=True, env=environment, capture_output=True)
    with subprocess.Popen(
        [*command, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        told = next(line for line in server.stdout if "listening" in line)
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+)/graphql", told)[0])
        assert _is_ready(port)
        taken = subprocess.run(
            [*command, "serve", "--port", str(port)], env=environment, capture_output=True, text=True, check=False
        )
        assert (taken.returncode, taken.stderr.count("\n")) == (1, 1), taken.stderr
        assert f"Port {port} of 127.0.0.1 is taken" in taken.stderr
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=GENEROUS_SECONDS)
        assert server.returncode == 0


def test_an_origin_that_is_none_ends_the_start_and_is_named() -> None:
    """`*` was taken once: every page could call for every tenant."""
    command = [sys.executable, "-m", "cli.main", "serve", "--port", "0"]
    environment = {**os.environ, "TREUE_CORS_ORIGINS": '["https://console.example", "*"]'}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "TREUE_CORS_ORIGINS: entry 1 must name one origin" in ended.stderr
