"""A real browser: headless Chromium shows a page of another origin, which tells us what it sees."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self
from urllib.parse import urlencode

import orjson

from tests.acceptance.client import GENEROUS_SECONDS
from tests.fixtures.server import HOST

PAGE = Path(__file__).parents[1] / "clients" / "page.html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--no-default-browser-check", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions"),
)
STOP_SECONDS = 20


def find_chromium() -> str | None:
    """Return the program; None if there is none."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class PageServer:
    """Serves the page at an origin of its own, and hears what the page tells."""

    def __init__(self) -> None:
        heard: SimpleQueue[dict[str, Any]] = SimpleQueue()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = PAGE.read_bytes()
                self.send_response(200 if self.path.startswith("/?") else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                heard.put(orjson.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_details: object) -> None:
                """Say nothing."""

        self.heard = heard
        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.origin = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    async def next_step(self) -> tuple[str, Any]:
        """Wait until the page reports, and return the name of its step, and what it saw."""
        try:
            told = await asyncio.to_thread(self.heard.get, timeout=GENEROUS_SECONDS)
        except Empty:
            raise AssertionError("the page told nothing more") from None
        return told["step"], told["seen"]

    async def steps_to(self, last: str) -> dict[str, Any]:
        """Return everything that the page reports up to this step, and the report of this step."""
        seen: dict[str, Any] = {}
        while last not in seen:
            step, what = await self.next_step()
            seen[step] = what
        return seen


@contextlib.contextmanager
def chromium(program: str, url: str) -> Iterator[None]:
    """Show a page in the browser during the block."""
    with tempfile.TemporaryDirectory(prefix="treue-chromium-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={profile}", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            browser.terminate()
            try:
                browser.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


@contextlib.asynccontextmanager
async def shown_page(program: str, server: PageServer, told: Mapping[str, str]) -> AsyncIterator[PageServer]:
    """Show the page in the browser during the block. ``told`` are the parameters of its address."""
    with chromium(program, f"{server.origin}/?{urlencode(told)}"):
        yield server
