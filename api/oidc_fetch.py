"""Reads what identity providers publish: small JSON documents, without redirects, from public addresses only.

A tenant names its provider, so the address is not ours to trust: its name is looked up once, every address that it
leads to must be public, and the connection goes to the very address that was looked at.
"""

import asyncio
import http.client
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult

import orjson

from loyalty.rules.provider_url import check_provider_url, is_public, split_url

MAX_DOCUMENT_BYTES = 262_144
FETCH_SECONDS = 5.0
"""How long one document may take, from the look-up of the name to its last byte."""

FETCHES_AT_ONCE = 8

_threads = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="provider")


class FetchFailed(Exception):
    """A provider's document cannot be had. The reason is for logs."""


async def fetch_document(url: str, *, private: bool = False) -> dict[str, Any]:
    """The JSON object at an address. Raises `FetchFailed`. `private` is as in `check_provider_url`."""
    if (problem := check_provider_url(url, (), private=private)) is not None:
        raise FetchFailed(problem.reason)
    try:
        body = await asyncio.get_running_loop().run_in_executor(_threads, _read, url, private)
        document = orjson.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise FetchFailed(type(error).__name__) from None
    if not isinstance(document, dict):
        raise FetchFailed("no JSON object")
    return document


def _read(url: str, private: bool) -> bytes:  # noqa: FBT001 - run by an executor
    parts = split_url(url)
    if parts is None:
        raise FetchFailed("no address")
    connection = _connect(parts, private=private)
    # Whatever the other side does, or does not do: the connection is over then.
    watchdog = threading.Timer(FETCH_SECONDS, _cut, [connection])
    watchdog.start()
    try:
        return _ask(connection, parts)
    finally:
        watchdog.cancel()
        connection.close()


def _connect(parts: SplitResult, *, private: bool) -> socket.socket:
    """A connection to an address that was looked at."""
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


def _ask(connection: socket.socket, parts: SplitResult) -> bytes:
    asking = http.client.HTTPConnection(parts.hostname or "", parts.port)
    asking.sock = connection
    headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    asking.request("GET", parts.path or "/", headers=headers)
    response = asking.getresponse()
    if response.status != 200:  # noqa: PLR2004 - HTTP's number; a redirect leads where nobody has looked
        raise FetchFailed(f"status {response.status}")
    body = response.read(MAX_DOCUMENT_BYTES + 1)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise FetchFailed("too large")
    return body


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()
