"""The process as a whole: it serves on a loop of its own, bounds heads, and ends cleanly on SIGTERM."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx2
import pytest

from api.protocols import MAX_HEAD_BYTES
from api.server import RESERVED_FILES
from tests.api.conftest import RunningServer, start_server
from tests.fixtures.live import GENEROUS_SECONDS, until

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from api.app import create_app
from api.server import run
from tests.api.small import SCHEMA, Stage

class TalkativeStage(Stage):
    def make_context(self, request):
        print("asked", flush=True)
        return super().make_context(request)

stage = TalkativeStage()
app = create_app(SCHEMA, stage.authenticate, stage.make_context, stage.find_fallen, stage.ready)
run(app, "127.0.0.1", int(sys.argv[1]), on_started=lambda: print("started", flush=True))
print("ended", flush=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=lambda end: end.name)
async def test_a_process_serves_and_ends_on_a_signal(end: signal.Signals) -> None:
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(port), stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environment
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).strip() == b"started"
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=GENEROUS_SECONDS) as client:
            request = {"query": "{ patient(seconds: 0.5) }"}
            headers = {"authorization": "Bearer ada"}
            answer = asyncio.create_task(client.post("/graphql", json=request, headers=headers))
            assert (await process.stdout.readline()).strip() == b"asked"
            process.send_signal(end)
            assert (await answer).json() == {"data": {"patient": "done"}}
        await asyncio.wait_for(process.communicate(), GENEROUS_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode in {0, -end}


async def exchange(server: RunningServer, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(65_536), GENEROUS_SECONDS)
    writer.close()
    return answer


HEAD = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"x: " + b"y" * (2 * MAX_HEAD_BYTES),
        HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(20_000)),
        b"GET /" + b"a" * (2 * MAX_HEAD_BYTES),
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nhello",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        HEAD + b"bad header\r\n\r\n",
        HEAD + b" folded: x\r\n\r\n",
    ],
    ids=range(11),
)
async def test_hostile_heads_are_refused_with_400(server: RunningServer, data: bytes) -> None:
    assert (await exchange(server, data)).startswith(b"HTTP/1.1 400")


async def test_a_head_within_the_limit_is_fine(server: RunningServer) -> None:
    data = HEAD + b"x: " + b"y" * (MAX_HEAD_BYTES - 1_000) + b"\r\n\r\n"
    assert (await exchange(server, data)).startswith(b"HTTP/1.1 200")


async def test_headers_after_the_body_are_not_kept(server: RunningServer) -> None:
    data = (
        b"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\ncontent-type: application/json\r\n"
        b'transfer-encoding: chunked\r\n\r\n16\r\n{"query":"{ whoami }"}\r\n0\r\nauthorization: Bearer eve\r\n\r\n'
    )
    assert b'"ada"' in await exchange(server, data)


async def test_a_connection_that_sends_nothing_is_closed(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.protocols.HEAD_SECONDS", 0.3)
    assert await exchange(server, b"") == b""


async def test_a_head_that_does_not_arrive_whole_is_told_so(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.protocols.HEAD_SECONDS", 0.3)
    answer = await exchange(server, b"GET /healthz HTTP/1.1\r\nhost:")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"connection: close" in answer
    assert answer.endswith(b"\r\n\r\nThe headers took too long to arrive.")


HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)


async def knock(port: int, data: bytes) -> tuple[bytes, asyncio.StreamWriter]:
    """Return the head of an answer, and the connection, which stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GENEROUS_SECONDS), writer


@pytest.mark.parametrize("data", [HEAD + b"\r\n", HANDSHAKE], ids=["HTTP", "WebSocket"])
async def test_one_connection_too_many_is_answered_and_closed(data: bytes) -> None:
    """It is told to come back, and there is room again when one of the others has left."""
    server = start_server()
    server.server.config.limit_concurrency = 2
    try:
        held = [await knock(server.port, each) for each in (HEAD + b"\r\n", HANDSHAKE)]
        assert [head[:12] for head, _ in held] == [b"HTTP/1.1 200", b"HTTP/1.1 101"]
        refused = await exchange(server, data)
        head, _, body = refused.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1" in head
        assert b"\r\nconnection: close" in head
        assert body.count(b'"code":"UNAVAILABLE"') == 1
        for _, writer in held:
            writer.transport.abort()
        await until(lambda: not server.server.server_state.connections)
        answered, writer = await knock(server.port, data)
        assert answered[:12] in {b"HTTP/1.1 200", b"HTTP/1.1 101"}
        writer.transport.abort()
    finally:
        server.stop()


FEW_FILES = 400


async def test_a_process_without_free_files_drops_nobody_in_silence() -> None:
    """It takes all files that the system allows, keeps some for itself, and answers one connection too many."""
    limited = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (300, {FEW_FILES}))
{PROGRAM}"""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", limited, str(port)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        assert (await process.stdout.readline()).strip() == b"started"
        answers = [await knock(port, HANDSHAKE) for _ in range(FEW_FILES)]
        heads = [head[:12] for head, _ in answers]
        most = FEW_FILES - RESERVED_FILES
        assert heads == [b"HTTP/1.1 101"] * most + [b"HTTP/1.1 503"] * (FEW_FILES - most)
        for _, writer in answers:
            writer.transport.abort()
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can bound the time that data stays unread")
async def test_a_connection_whose_reader_takes_nothing_is_cut(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing it would wait for its reader, and keep what was sent in memory, for ever."""
    monkeypatch.setattr("api.protocols.UNREAD_SECONDS", 1.0)
    connections = server.server.server_state.connections
    await until(lambda: not connections)
    body = b'{"query":"subscription { flood(seconds: 60) }"}'
    head = (
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\naccept: text/event-stream\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_024)
    writer.write(head.encode() + body)
    assert await reader.read(10)
    await until(lambda: not connections)
    await until(lambda: len(server.app.state.connections) == 0)
    writer.transport.abort()


async def test_the_server_does_not_tell_what_it_is(server: RunningServer) -> None:
    async with server.client(None) as client:
        response = await client.get("/healthz")
    assert "server" not in response.headers
    assert response.headers["x-content-type-options"] == "nosniff"
