"""One request after another over one HTTP connection, with little processor time of our own."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from bench.service import HOST


def post_of(token: str, document: str, variables: Mapping[str, Any]) -> bytes:
    """Return a complete POST request for an operation of the bearer of a token."""
    return post_with(f"authorization: Bearer {token}", document, variables)


def post_with(header: str, document: str, variables: Mapping[str, Any]) -> bytes:
    """Return a complete POST request for an operation, with one more header."""
    body = orjson.dumps({"query": document, "variables": variables})
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: {HOST}\r\n{header}\r\n"
        f"content-type: application/json\r\naccept: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send a request and return the body of its answer. A status other than 200 ends the run."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"a request was refused: {head!r}")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)
