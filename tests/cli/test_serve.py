import os
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
    """A folder of one's own for an embedded server."""
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
        server.wait(GENEROUS_SECONDS)
    assert not EmbeddedPostgres(data_dir).is_running


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False
