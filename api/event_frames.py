"""Messages of graphql-transport-ws that carry an event.

Each message is made once for all sockets that get the same one.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from websockets.frames import Frame, Opcode

from api.protocols import SEND_FRAME
from schema.channels import SendNow

MAX_KEPT_FRAMES = 16
"""The number of cached frames. Thousands of sockets get the frame of one event, one after the other."""


def begin_next(operation_id: str) -> str:
    """Return the part of a message of an operation that stands before the payload."""
    return f'{{"id":{orjson.dumps(operation_id).decode()},"type":"next","payload":'


def write_next(head: str, payload: str) -> str:
    """Return the message with this beginning and this payload."""
    return f"{head}{payload}}}"


@lru_cache(MAX_KEPT_FRAMES)
def make_frame(head: str, payload: str) -> bytes:
    """Return the message as one frame of a socket without extensions (RFC 6455, section 5.2).

    Most clients give their operations the same few ids, so most sockets get the same frame from the cache.
    """
    return Frame(Opcode.TEXT, write_next(head, payload).encode()).serialize(mask=False)


def find_sender(scope: Mapping[str, Any], operation_id: str, is_open: Callable[[], bool]) -> SendNow | None:
    """Return a function that sends the payload of an event to an operation at once; None if the server has no such way.

    The function returns whether it has sent the payload. It sends nothing if the operation is not open any more.
    """
    extension = scope.get("extensions", {}).get(SEND_FRAME)
    if extension is None:
        return None
    send_frame, head = extension[SEND_FRAME], begin_next(operation_id)

    def send_now(payload: str) -> bool:
        return is_open() and send_frame(make_frame(head, payload))

    return send_now
