"""Messages of graphql-transport-ws that tell an event: made once for all sockets that are sent the same."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import orjson
from websockets.frames import Frame, Opcode

from api.protocols import SEND_FRAME
from schema.channels import SendNow

MAX_KEPT_FRAMES = 16
"""Frames that are kept after they were made: thousands of sockets are told one event, one after the other."""


def begin_next(operation_id: str) -> str:
    """What stands before the payload in a message of an operation."""
    return f'{{"id":{orjson.dumps(operation_id).decode()},"type":"next","payload":'


def write_next(head: str, payload: str) -> str:
    """The message with this beginning and payload."""
    return f"{head}{payload}}}"


@lru_cache(MAX_KEPT_FRAMES)
def make_frame(head: str, payload: str) -> bytes:
    """The message as one frame of a socket without extensions (RFC 6455, section 5.2).

    Most clients give their operations the same few ids, so most sockets are sent the same frame.
    """
    return Frame(Opcode.TEXT, write_next(head, payload).encode()).serialize(mask=False)


def find_sender(scope: Mapping[str, Any], operation_id: str, is_open: Callable[[], bool]) -> SendNow | None:
    """What sends the payload of an event of an operation at once, while it is open; None on a server that cannot."""
    extension = scope.get("extensions", {}).get(SEND_FRAME)
    if extension is None:
        return None
    send_frame, head = extension[SEND_FRAME], begin_next(operation_id)

    def send_now(payload: str) -> bool:
        return is_open() and send_frame(make_frame(head, payload))

    return send_now
