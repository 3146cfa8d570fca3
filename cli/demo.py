"""`treue demo`: start database, server and worker with example data, ready to try.

Server and worker are separate processes, as in production. Importing the rest of the demo takes time, so it is imported
after the database has started.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cli.addresses import PORT, address_of, free_port, refuse_taken_port
from migrations.run import upgrade
from runtime.databases import provide_database
from runtime.problems import SetupProblem
from runtime.roles import ROLES
from runtime.settings import Settings, load_settings

START_SECONDS = 30
STOP_SECONDS = 30


@click.command()
@click.option("--port", type=PORT, help="Port to listen on; default TREUE_PORT, 0 for a free one.")
@click.option("--check", is_flag=True, help="Start, print, and stop again: for trying the set-up.")
def demo(port: int | None, *, check: bool) -> None:
    """Start database, server and worker with two demo businesses, and print what to paste. Ctrl-C stops everything."""
    settings = load_settings()
    port = settings.port if port is None else port
    with _stop_on_signals() as stop:
        try:
            _run(settings, port or free_port(settings.host), stop, check=check)
        except _Stopped:
            pass
        except PermissionError as error:
            raise SetupProblem(_explain_owner(error, settings)) from error
    click.echo("\nStopped. The data stays in the database; `make demo-reset` deletes it.")


def _run(settings: Settings, port: int, stop: "_Stop", *, check: bool) -> None:
    """Start database, businesses, server and worker, print what to paste, and wait for Ctrl-C.

    Raises SetupProblem if the port is taken or a process ends by itself. With ``check`` it returns after printing.
    """
    refuse_taken_port(settings.host, port, 'make demo ARGS="--port 8400"')
    click.echo("Starting the database ...")
    with provide_database(settings, *ROLES, prepare=True) as urls:
        upgrade(urls.owner)
        from cli.demo_shown import build_banner, prepare_shown, write_environment
        from cli.demo_tenants import provide_businesses

        # No worker runs yet. The holds of the history lie in the past: a worker would end them before their capture.
        tenants = asyncio.run(provide_businesses(urls, settings))
        with _processes(settings, port, stop) as running:
            _wait_until_ready(f"{address_of(settings.host, port)}/readyz", running)
            shown = asyncio.run(prepare_shown(urls, settings, tenants[0]))
            environment = write_environment(settings, port, shown.credentials)
            click.echo(build_banner(settings, port, shown, environment))
            while not check:
                _refuse_dead(running)
                time.sleep(0.2)


def _explain_owner(error: PermissionError, settings: Settings) -> str:
    """Return the sentence for a file of the demo that belongs to another account."""
    return (
        f"{error.filename or settings.data_dir} belongs to another account: run as the account that started the demo "
        f"before, or give it to yours with: chown -R $(id -u) {settings.data_dir}"
    )


@contextmanager
def _processes(settings: Settings, port: int, stop: "_Stop") -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start the worker and the server, each with its log file. Ends both after the block, the server first."""
    folder = settings.data_dir / "log"
    folder.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        with stop.held():
            worker = ["worker", *_port_of_worker_metrics(settings)]
            for name, arguments in (("worker", worker), ("server", ["serve", "--port", str(port)])):
                running[name] = _start(arguments, folder / f"{name}.log")
        yield running
    finally:
        for process in reversed(running.values()):
            if process.poll() is None:
                process.terminate()
        for process in running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_of_worker_metrics(settings: Settings) -> list[str]:
    """Return the option for the port of the worker's metrics: the port after the one in the settings."""
    return [] if not settings.metrics_port else ["--metrics-port", str(settings.metrics_port + 1)]


def _start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a `treue` command as a process that writes to a log file."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(os.environ),
            # Ctrl-C in the terminal reaches only this process, which ends the others in order.
            start_new_session=True,
        )


def _wait_until_ready(url: str, running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait until the server answers. Raises SetupProblem after `START_SECONDS`, or if a process ends by itself."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        _refuse_dead(running)
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise SetupProblem(f"The server was not ready in {START_SECONDS} s: see its log.") from None
            time.sleep(0.05)


def _refuse_dead(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Raise SetupProblem if one of the processes has ended by itself."""
    for name, process in running.items():
        if process.poll() is not None:
            raise SetupProblem(f"The {name} ended by itself (exit code {process.returncode}): see its log.")


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM came. The running step ends here, and each block with a clean-up runs it."""


class _Stop:
    """A handler of Ctrl-C and SIGTERM: it raises `_Stopped` at once, or at the end of a `held` block."""

    def __init__(self) -> None:
        self._held = self._came = False

    def __call__(self, number: int, _frame: object) -> None:
        """Handle a signal. A second signal ends the process without waiting for the clean-up."""
        signal.signal(number, signal.default_int_handler)
        self._came = True
        if not self._held:
            raise _Stopped

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay a signal until the block has ended.

        A process that starts in the block is known by then, and can be ended.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came:
            raise _Stopped


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """Let Ctrl-C and SIGTERM end the block by raising `_Stopped`."""
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
