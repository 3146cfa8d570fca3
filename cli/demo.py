"""`treue demo`: everything at once, with data, ready to try.

Server and worker are processes of their own, as in production. They start while this one still reads its own code,
which is why the heavier half of the demo is imported late.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from migrations.run import upgrade
from runtime.databases import provided_database
from runtime.problems import SetupProblem
from runtime.settings import Settings, load_settings

START_SECONDS = 30
STOP_SECONDS = 30


@click.command()
@click.option("--port", type=int, help="Port to listen on; default TREUE_PORT.")
@click.option("--check", is_flag=True, help="Start, print, and stop again: for trying the set-up.")
def demo(port: int | None, *, check: bool) -> None:
    """Start database, server and worker with two demo businesses, and print what to paste. Ctrl-C stops everything."""
    settings = load_settings()
    port = settings.port if port is None else port
    with _told_to_stop() as stopped:
        refuse_taken_port(settings.host, port)
        click.echo("Starting the database ...")
        with provided_database(settings, prepare=True) as urls:
            upgrade(urls.owner)
            with _processes(settings, port) as running:
                from cli.demo_tenants import banner, provided_businesses, show

                tenants = asyncio.run(provided_businesses(urls, settings))
                _wait_until_ready(f"http://{settings.host}:{port}/readyz", running, stopped)
                credentials, showcase = asyncio.run(show(urls, settings, tenants[0]))
                click.echo(banner(settings, port, credentials, showcase))
                while not (stopped() or check):
                    _refuse_dead(running)
                    time.sleep(0.2)
        click.echo("\nStopped. The data stays in the database; `make demo-reset` deletes it.")


def refuse_taken_port(host: str, port: int) -> None:
    """Say so before anything is started when another program has the port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = (
                f'Port {port} of {host} is taken ({error.strerror}): choose another, make demo ARGS="--port 8400".'
            )
            raise SetupProblem(message) from error


@contextmanager
def _processes(settings: Settings, port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Server and worker, each with its log; both are ended with the block, the server first."""
    folder = settings.data_dir / "log"
    folder.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in (("worker", ["worker"]), ("server", ["serve", "--port", str(port)])):
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


def _start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(os.environ),
            # Ctrl-C in the terminal is for us; we end the others in order.
            start_new_session=True,
        )


def _wait_until_ready(url: str, running: dict[str, subprocess.Popen[bytes]], stopped: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not stopped():
        _refuse_dead(running)
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise SetupProblem(f"The server was not ready in {START_SECONDS} s: see its log.") from None
            time.sleep(0.05)


def _refuse_dead(running: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            raise SetupProblem(f"The {name} ended by itself (exit code {process.returncode}): see its log.")


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came; a second one ends at once."""
    told = False

    def remember(number: int, _frame: object) -> None:
        nonlocal told
        if told:
            raise KeyboardInterrupt
        told = True
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
