"""An end that tells everybody: sockets get a reason, streams end, requests in flight finish."""

import asyncio
import threading

import httpx2
import pytest

from tests.api.conftest import close_of, receive, start_server, subscribe
from tests.fixtures.live import until


async def test_the_end_of_the_process_reaches_everybody() -> None:
    server = start_server()
    query = {"query": "{ patient(seconds: 1) }"}
    streamed = {"query": "subscription { count(to: 1000, seconds: 0.05) }"}
    async with server.client() as client, server.socket() as socket, server.socket(None) as silent:
        await subscribe(socket, "1", "subscription { count(to: 1000, seconds: 0.05) }")
        await receive(socket)
        in_flight = asyncio.create_task(client.post("/graphql", json=query))
        async with client.stream("POST", "/graphql", json=streamed, headers={"accept": "text/event-stream"}) as events:
            parts = events.aiter_text()
            await anext(parts)
            await until(lambda: len(server.stage.requests) == 3)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            closes = [await close_of(socket), await close_of(silent)]
            rest = "".join([part async for part in parts])
        answer = await in_flight
    await asyncio.to_thread(stopping.join)
    assert closes == [(1012, "The server restarts: connect again and resume with `after`.")] * 2
    assert "complete" not in rest, "a completed stream would not be resumed"
    assert answer.json() == {"data": {"patient": "done"}}
    assert server.stage.finished_generators == 2
    with pytest.raises(httpx2.TransportError):
        async with server.client() as late:
            await late.get("/healthz")
