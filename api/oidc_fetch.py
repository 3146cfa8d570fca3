"""Call identity providers for small JSON documents and tokens, without redirects, at public addresses only.

A tenant names its provider, so the address cannot be trusted. Its name is looked up once, and every address found must
be public. The connection goes to one of the addresses that were checked.
"""

import asyncio
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult

import orjson

from loyalty.rules.provider_url import check_provider_url, is_public, split_url

MAX_DOCUMENT_BYTES = 262_144
FETCH_SECONDS = 5.0
"""The time for one document, from the look-up of the name to the last byte."""

FETCHES_AT_ONCE = 8

_threads = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="provider")


class FetchFailed(Exception):
    """A provider's document cannot be read. The reason is for logs."""


class ProviderAnswer(NamedTuple):
    """The answer of a provider to one request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class ProviderRequest(NamedTuple):
    """A request to a provider."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


async def fetch_document(url: str, *, private: bool = False) -> dict[str, Any]:
    """Return the JSON object at an address. Raises `FetchFailed`.

    `private` has the same meaning as in `check_provider_url`.
    """
    answer = await ask_provider(ProviderRequest("GET", url, {"Accept": "application/json"}), private=private)
    if answer.status != 200:  # noqa: PLR2004 - HTTP's number; a redirect leads where nobody has looked
        raise FetchFailed(f"status {answer.status}")
    try:
        document = orjson.loads(answer.body)
    except ValueError as error:
        raise FetchFailed(type(error).__name__) from None
    if not isinstance(document, dict):
        raise FetchFailed("no JSON object")
    return document


async def ask_provider(request: ProviderRequest, *, private: bool = False) -> ProviderAnswer:
    """Return the answer to one request. Raises `FetchFailed`.

    `private` has the same meaning as in `check_provider_url`.
    """
    if (problem := check_provider_url(request.url, (), private=private, query=True)) is not None:
        raise FetchFailed(problem.reason)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, _exchange, request, private)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise FetchFailed(type(error).__name__) from None


def _exchange(request: ProviderRequest, private: bool) -> ProviderAnswer:  # noqa: FBT001 - run by an executor
    """Send a request and read its answer within ``FETCH_SECONDS``; ``private`` allows private addresses."""
    parts = split_url(request.url)
    if parts is None:
        raise FetchFailed("no address")
    connection = _connect(parts, private=private)
    # The connection is closed here in every case, also if the other side does not answer.
    watchdog = threading.Timer(FETCH_SECONDS, _cut, [connection])
    watchdog.start()
    try:
        return _ask(connection, parts, request)
    finally:
        watchdog.cancel()
        connection.close()


def _connect(parts: SplitResult, *, private: bool) -> socket.socket:
    """Open a connection to a host. Raises FetchFailed for an address that is not public, unless ``private``."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not private and not all(is_public(ip_address(address)) for address in addresses):
        raise FetchFailed("an address that is not public")
    opened = socket.create_connection((addresses[0], port), timeout=FETCH_SECONDS)
    if parts.scheme != "https":
        return opened
    try:
        return ssl.create_default_context().wrap_socket(opened, server_hostname=host)
    except BaseException:
        opened.close()
        raise


def _ask(connection: socket.socket, parts: SplitResult, request: ProviderRequest) -> ProviderAnswer:
    asking = http.client.HTTPConnection(parts.hostname or "", parts.port)
    asking.sock = connection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**request.headers, "Host": parts.netloc, "Accept-Encoding": "identity", "Connection": "close"}
    asking.request(request.method, target, body=request.body, headers=headers)
    response = asking.getresponse()
    body = response.read(MAX_DOCUMENT_BYTES + 1)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise FetchFailed("too large")
    return ProviderAnswer(response.status, response.getheaders(), body)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()
