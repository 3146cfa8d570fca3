"""Documents that come once and never again must not fill the memory of a server."""

from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from schema.documents import DOCUMENT_CACHE_BYTES
from tests.acceptance.business import Business
from tests.acceptance.conftest import OpenBusiness
from tests.acceptance.sockets import open_socket, receive, send
from tests.fixtures.server import ServerProcess

DOCUMENTS = 6_000
WARM_UP = 200
"""Until here a server loads what it needs once."""

AT_ONCE = 20
MEBIBYTE = 1_048_576
MOST_GROWTH = 2 * DOCUMENT_CACHE_BYTES
"""The documents that are kept, and as much again for what the allocator does not give back: 16 MiB.

Trees that are freed at once let a server grow by less than 1 MiB here. With trees that point at their tokens it was
25 MiB, with rarer collections 40 MiB, and with all documents kept 75 MiB.
"""


def document(number: int) -> str:
    """Return a document of more than 3 kB that was never sent before.

    One of four may run; the others end with an unknown name.
    """
    if number % 4 == 0:
        aliases = " ".join(f"{'a' * 150}_{number}_{index}: __typename" for index in range(20))
        return "{ " + "__typename " * 40 + aliases + " }"
    page = f'first: 1, after: null, search: "{"x" * 700}{number}", tier: "x", orderBy: NAME, having: AVAILABLE'
    return "{ " + f"customers({page}) {{ nodes {{ id }} }} " * 4 + " nothingHasThisName }"


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    raise AssertionError("the process is gone")


async def send_documents(socket: ClientConnection, first: int, count: int) -> None:
    """Let a server run or refuse so many documents, some at a time."""
    for begin in range(first, first + count, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, first + count))
        for number in numbers:
            await send(socket, id=str(number), type="subscribe", payload={"query": document(number)})
        ended: set[str] = set()
        while len(ended) < len(numbers):
            message = await receive(socket)
            if message["type"] in {"complete", "error"}:
                assert (message["type"] == "error") is (int(message["id"]) % 4 != 0), message
                ended.add(message["id"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc")
async def test_six_thousand_distinct_documents_leave_no_more_than_what_is_kept(businesses: OpenBusiness) -> None:
    business: Business = await businesses()
    server: ServerProcess = business.installation.serve()
    await server.ready()
    try:
        async with open_socket(business.staff.at(server)) as socket:
            assert (await receive(socket))["type"] == "connection_ack"
            await send_documents(socket, 0, WARM_UP)
            before = resident_bytes(server.pid)
            await send_documents(socket, WARM_UP, DOCUMENTS)
            growth = resident_bytes(server.pid) - before
    finally:
        server.stop()
        business.installation.servers.remove(server)
    assert growth < MOST_GROWTH, f"grew by {growth / MEBIBYTE:.0f} MiB"
