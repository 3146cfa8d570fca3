"""Relay connections with keyset cursors: a cursor is the place of a row in its order, not a count.

A cursor carries the name of its list and a seal over that and the tenant: another list's, another tenant's and a
made-up cursor are refused. Nobody outside can read one: the place of an event would count all events of the tenant.
https://relay.dev/graphql/connections.htm
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import orjson
import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import TenantId
from loyalty.rules.listing import OrderDirection
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.text import is_storable
from loyalty.storage.narrowed import MAX_TOTAL_COUNT
from loyalty.storage.window import TimePlace, Window
from schema.fields import computed
from schema.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from schema.scalars import Cursor

SEAL_BYTES = 12
PADDING_BYTES = 16
"""The content of a cursor is filled up to a multiple of this, so its length does not show the number of digits."""
COVERED = "1."
"""The beginning of a cursor whose content is hidden. Cursors of the first release begin otherwise."""
_NO_CURSOR = "must be a cursor of this list"

N = TypeVar("N")
P = TypeVar("P")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are rows after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are rows before this page.")
    start_cursor: Cursor | None = strawberry.field(description="The cursor of the first row.")
    end_cursor: Cursor | None = strawberry.field(description="The cursor of the last row.")


@strawberry.type(description="One row of a page, with its place in the list.")
class Edge(Generic[N]):
    cursor: Cursor = strawberry.field(description="Pass it as `after` or `before` to go on from this row.")
    node: N = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[N]):
    nodes: list[N] = strawberry.field(description="The rows of the page.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")
    make_cursors: strawberry.Private[Callable[[], list[Cursor]]]
    counting: strawberry.Private["Counting"]

    @computed(description="The rows of the page, each with its cursor.")
    def edges(self) -> list[Edge[N]]:
        """Pair rows and cursors only when they are asked for."""
        return [Edge(cursor=cursor, node=node) for cursor, node in zip(self.make_cursors(), self.nodes, strict=True)]

    @computed(
        description="How many rows the whole list has, at most 10,000. Counted where it is asked for; the list may "
        "change before the next page."
    )
    async def total_count(self) -> int:
        """Counted once for both fields."""
        return min(await self.counting.number(), MAX_TOTAL_COUNT)

    @computed(description="False where the list has more rows than `totalCount` can tell.")
    async def total_count_is_exact(self) -> bool:
        """Counted with `totalCount`."""
        return await self.counting.number() <= MAX_TOTAL_COUNT


class Counting:
    """Counts the rows of a list at the first request."""

    def __init__(self, count: Callable[[], Awaitable[int]]) -> None:
        self._count = count
        self._counted: asyncio.Future[int] | None = None

    async def number(self) -> int:
        """Return the number of rows, at most one more than ``MAX_TOTAL_COUNT``."""
        if self._counted is None:
            self._counted = asyncio.ensure_future(self._count())
        # A field that fails cancels its siblings; the other one still waits for the same number.
        return await asyncio.shield(self._counted)


class Page(NamedTuple):
    """The arguments of a connection as the client sent them."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None
    direction: OrderDirection | None = None


class Seal(NamedTuple):
    """The key and the tenant with which cursors are sealed."""

    key: bytes
    tenant_id: TenantId
    older_keys: tuple[bytes, ...] = ()
    """Keys that seal no new cursors. Cursors that they sealed are still read."""

    def sign(self, packed: bytes) -> bytes:
        """Return a short keyed hash (HMAC-SHA-256, RFC 2104, cut to 12 bytes) of tenant and content."""
        return hmac.digest(self.key, self.tenant_id.bytes + packed, "sha256")[:SEAL_BYTES]

    def cover(self, content: bytes, signature: bytes) -> bytes:
        """Hide content with this signature, or reveal it again. The same content always gives the same result.

        The signature takes the place of a nonce (synthetic initialization vector, as in RFC 5297). The key stream is
        SHAKE256 (FIPS 202) over key, tenant and signature.
        """
        stream = hashlib.shake_256(b"cursor" + self.key + self.tenant_id.bytes + signature).digest(len(content))
        covered = int.from_bytes(content, "big") ^ int.from_bytes(stream, "big")
        return covered.to_bytes(len(content), "big")


class Order(NamedTuple, Generic[P]):
    """An order of rows: its name in cursors, and functions from a place to the values of a cursor and back."""

    name: str
    values: Callable[[P], Sequence[Any]]
    place: Callable[..., P]


def time_order(name: str) -> Order[TimePlace]:
    """Return the order by time for the cursors of a list."""
    return Order(name, tuple, lambda at, row_id: TimePlace(instant_value(at), id_value(row_id)))


def window_of(seal: Seal, page: Page, order: Order[P]) -> Window[P]:
    """Return the window to read for a page: one row more than requested, which shows whether there is another page.

    ``first`` with ``after`` reads forwards, ``last`` with ``before`` backwards; any other combination is refused.
    """
    for name, size in (("first", page.first), ("last", page.last)):
        if size is not None and not 1 <= size <= MAX_PAGE_SIZE:
            raise InvalidInput.one(name, reason=f"must be between 1 and {MAX_PAGE_SIZE}")
    if page.first is not None and page.last is not None:
        raise InvalidInput.one("last", reason="must not stand beside first")
    if page.after is not None and page.before is not None:
        raise InvalidInput.one("before", reason="must not stand beside after")
    if page.last is not None and page.after is not None:
        raise InvalidInput.one("last", reason="goes with before; first goes with after")
    if page.first is not None and page.before is not None:
        raise InvalidInput.one("before", reason="goes with last; first goes with after")
    backwards = page.last is not None or page.before is not None
    cursor, path = (page.before, "before") if backwards else (page.after, "after")
    beyond = None if cursor is None else place_of(seal, cursor, order, path)
    return Window(
        limit=(page.last or page.first or DEFAULT_PAGE_SIZE) + 1,
        beyond=beyond,
        backwards=backwards,
        ascending=None if page.direction is None else page.direction is OrderDirection.ASCENDING,
    )


def cursor_of(seal: Seal, place: P, order: Order[P]) -> Cursor:
    """Return the cursor of a place: its hidden content, and the seal of it."""
    packed = _pack(place, order)
    padded = packed.ljust(-(-len(packed) // PADDING_BYTES) * PADDING_BYTES)
    signature = seal.sign(padded)
    return Cursor(f"{COVERED}{_to_text(seal.cover(padded, signature))}.{_to_text(signature)}")


def place_of(seal: Seal, cursor: str, order: Order[P], path: str) -> P:
    """Return the place that a cursor names.

    Raises InvalidInput for a forged cursor, and for one of another tenant or list. Readable cursors of the first
    release are still accepted.
    """
    try:
        used, packed = _unseal(seal, cursor)
        name, *values = orjson.loads(packed)
        place = order.place(*values)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise InvalidInput.one(path, reason=_NO_CURSOR) from error
    if name != order.name or cursor not in {cursor_of(used, place, order), _readable_cursor_of(used, place, order)}:
        raise InvalidInput.one(path, reason=_NO_CURSOR)
    return place


def _unseal(seal: Seal, cursor: str) -> tuple[Seal, bytes]:
    """Return the key that sealed a cursor, and its content. Raises ValueError if none of the keys sealed it."""
    body, _, signature = cursor.removeprefix(COVERED).partition(".")
    content, signed = _to_bytes(body), _to_bytes(signature)
    for key in (seal.key, *seal.older_keys):
        used = Seal(key, seal.tenant_id)
        packed = used.cover(content, signed) if cursor.startswith(COVERED) else content
        if hmac.compare_digest(signed, used.sign(packed)):
            return used, packed
    raise ValueError


def _readable_cursor_of(seal: Seal, place: P, order: Order[P]) -> str:
    packed = _pack(place, order)
    return f"{_to_text(packed)}.{_to_text(seal.sign(packed))}"


def _pack(place: P, order: Order[P]) -> bytes:
    return orjson.dumps([order.name, *order.values(place)])


def _to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def connection_of(
    seal: Seal,
    window: Window[P],
    order: Order[P],
    found: Sequence[tuple[P, Any]],
    *,
    count: Callable[[], Awaitable[int]],
) -> Connection[Any]:
    """Turn the rows of a window into a page. The rows are in reading direction, with one row too many.

    ``count`` counts the rows of the whole list, if a client asks for it.
    """
    limit = window.limit - 1
    more = len(found) > limit
    kept = list(found[:limit])
    if window.backwards:
        kept.reverse()
    beyond = window.beyond is not None

    def make_cursors() -> list[Cursor]:
        return [cursor_of(seal, place, order) for place, _ in kept]

    return Connection(
        nodes=[row for _, row in kept],
        make_cursors=make_cursors,
        counting=Counting(count),
        page_info=PageInfo(
            has_next_page=beyond if window.backwards else more,
            has_previous_page=more if window.backwards else beyond,
            start_cursor=cursor_of(seal, kept[0][0], order) if kept else None,
            end_cursor=cursor_of(seal, kept[-1][0], order) if kept else None,
        ),
    )


def connection_by_time(
    seal: Seal,
    window: Window[TimePlace],
    order: Order[TimePlace],
    rows: Sequence[Any],
    at: str,
    *,
    count: Callable[[], Awaitable[int]],
) -> Connection[Any]:
    """Turn the rows of a list by time into a page. ``at`` names the attribute with the time of a row."""
    return connection_of(seal, window, order, [(TimePlace(getattr(row, at), row.id), row) for row in rows], count=count)


def text_value(value: object) -> str:
    """Return a text of a cursor. Refuses any other value, and a text that PostgreSQL cannot store."""
    if not isinstance(value, str) or not is_storable(value):
        raise TypeError
    return value


def whole_value(value: object) -> int:
    """Return a whole number of a cursor. Refuses any other value."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_POINTS:
        raise TypeError
    return value


def id_value(value: object) -> UUID:
    """Return an id of a cursor. Refuses any other value."""
    return UUID(text_value(value))


def instant_value(value: object) -> datetime:
    """Return an instant of a cursor, with its offset. Refuses any other value."""
    instant = datetime.fromisoformat(text_value(value))
    if instant.utcoffset() is None:
        raise ValueError
    return instant
