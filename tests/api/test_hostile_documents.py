"""Hostile documents cost a server as little over WebSocket and event streams as over HTTP: all come the same way.

The processor time of the server's thread is read, and compared with that of an everyday document over the same way in.
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import httpx2
import orjson
import pytest

from schema.documents import prepare_document
from schema.introspection import USUAL_QUERY
from schema.root import treue_schema
from tests.api.conftest import RunningServer, receive, start_server, subscribe
from tests.schema.hostile import Hostile, hostile_documents

MOST_TIMES_AN_EVERYDAY_DOCUMENT = 14
"""As for the corpus without a server."""

REPEATS = 3
SAMPLE = 25
SCHEMA = treue_schema()
EVERYDAY = USUAL_QUERY.rstrip().removesuffix("}") + " nothingHasThisName }"
"""Refused after all the work of reading and validating, so that nothing runs."""

TRANSPORTS = ("HTTP", "event stream", "WebSocket")
Ask = Callable[..., Awaitable[set[str]]]


@pytest.fixture(scope="module")
def treue_server() -> Iterator[RunningServer]:
    """Provide a server with the real schema; nothing that is asked here reaches a resolver."""
    server = start_server(schema=SCHEMA)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def worst_documents() -> list[Hostile]:
    """Provide the documents that cost most in each family and are refused, the costliest families first."""
    worst: dict[str, tuple[float, Hostile]] = {}
    for document in hostile_documents():
        began = time.thread_time()
        refused = bool(prepare_document(SCHEMA._schema, document.text).errors)  # noqa: SLF001 - the only way to it
        seconds = time.thread_time() - began
        if refused and len(document.text) < 100_000 and seconds > worst.get(document.family, (0.0, None))[0]:
            worst[document.family] = (seconds, document)
    return [document for _, document in sorted(worst.values(), reverse=True)[:SAMPLE]]


@asynccontextmanager
async def asking(server: RunningServer, transport: str) -> AsyncIterator[Ask]:
    """Send documents one after the other; the codes of the errors come back."""
    if transport == "WebSocket":
        async with server.socket() as socket:

            async def over_socket(text: str, **variables: object) -> set[str]:
                await subscribe(socket, "1", text, **variables)
                message = await receive(socket)
                assert message["type"] == "error", message
                return {error["extensions"]["code"] for error in message["payload"]}

            yield over_socket
        return
    accept = "text/event-stream" if transport == "event stream" else "application/json"
    async with server.client(accept=accept) as client:

        async def over_http(text: str, **variables: object) -> set[str]:
            response = await client.post("/graphql", json={"query": text, "variables": variables})
            return {error["extensions"]["code"] for error in _answer(response)["errors"]}

        yield over_http


def _answer(response: httpx2.Response) -> dict[str, list[dict[str, dict[str, str]]]]:
    lines = (line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith(("data: {", "{")))
    return orjson.loads(next(lines))  # type: ignore[no-any-return]


async def cpu_seconds(server: RunningServer, ask: Ask, text: str) -> float:
    """Return the median of the processor time that the thread of the server has spent, in seconds."""
    spent = []
    for _ in range(REPEATS):
        began = server.cpu_seconds()
        codes = await ask(text)
        spent.append(server.cpu_seconds() - began)
        assert codes
        assert codes <= {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}
    return statistics.median(spent)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_hostile_documents_cost_little_over_every_transport(
    treue_server: RunningServer, worst_documents: list[Hostile], transport: str
) -> None:
    async with asking(treue_server, transport) as ask:
        await ask(EVERYDAY)
        for document in worst_documents:
            everyday = await cpu_seconds(treue_server, ask, EVERYDAY)
            hostile = await cpu_seconds(treue_server, ask, document.text)
            times = hostile / everyday
            assert times <= MOST_TIMES_AN_EVERYDAY_DOCUMENT, f"{document[:2]}: {times:.1f} times an everyday document"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_document_that_is_too_long_is_refused_over_every_transport(
    treue_server: RunningServer, transport: str
) -> None:
    async with asking(treue_server, transport) as ask:
        assert await ask("{ me { id } }" + " " * 70_000) == {"QUERY_TOO_COMPLEX"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_list_of_variables_that_is_too_long_is_refused_over_every_transport(
    treue_server: RunningServer, transport: str
) -> None:
    """Before the credential's rights are asked for, and before one entry is read."""
    async with asking(treue_server, transport) as ask:
        document = "query($ids: [ID!]!) { __typename @include(if: true) }"
        assert await ask(document, ids=["x"] * 20_000) == {"QUERY_TOO_COMPLEX"}
