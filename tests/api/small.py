"""A small schema for the edge: it fails, waits and floods on demand, so that the edge can be watched doing its work."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import strawberry
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from strawberry.dataloader import DataLoader

from api.authentication import Unauthenticated
from api.operation import OperationRequest
from loyalty.rules.errors import PermissionDenied
from loyalty.rules.ids import TenantId
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from schema.delivery import Delivery
from schema.executable import build_schema
from schema.masking import ReaderTooSlow
from schema.scalars import Points

TENANT = TenantId(uuid.UUID("0190a000-0000-7000-8000-000000000001"))
SECRET = "hunter2"
LARGE_TEXT = "x" * 60_000


class DatabaseAway(Exception):
    """Stands for what a driver raises when the server is away."""


def actor(subject: str, expires_at: dt.datetime | None = None) -> Actor:
    """Return the actor of a subject."""
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=TENANT,
        subject=subject,
        permissions=ROLE_PERMISSIONS[Role.OWNER],
        display=subject,
        expires_at=expires_at,
    )


@dataclass
class Stage:
    """What the tests arrange and look at.

    Credentials are `Bearer <subject>`, or `Bearer <subject>@<seconds to live>`.
    """

    requests: list[OperationRequest] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)
    allowed_origins: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    touching: int = 0
    touched: int = 0
    finished_generators: int = 0
    ready_error: Exception | None = None
    authenticating: int = 0
    busy_times: int = 0
    most_authenticating: int = 0
    hindrances: list[Exception] = field(default_factory=list)
    source_error: Exception | None = None

    async def authenticate(self, authorization: str | None, _peer: str | None = None) -> Actor:
        """Return the actor of a credential.

        The subject may ask for a fault: away, broken, busy, hangs, slow or wrong.
        """
        if not authorization:
            raise Unauthenticated("A credential is required.", missing=True)
        subject, _, seconds = authorization.removeprefix("Bearer ").partition("@")
        if subject == "away":
            raise DatabaseAway(SECRET)
        if subject == "broken":
            raise RuntimeError(SECRET)
        if subject == "busy" and self.busy_times > 0:
            self.busy_times -= 1
            raise NoFreeConnection(SECRET)
        if subject == "hangs":
            await asyncio.sleep(60)
        if subject == "slow":
            self.authenticating += 1
            self.most_authenticating = max(self.most_authenticating, self.authenticating)
            await asyncio.sleep(0.5)
            self.authenticating -= 1
        if not authorization.startswith("Bearer ") or subject in {"", "wrong"}:
            raise Unauthenticated("The token is not valid.")
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=float(seconds)) if seconds else None
        return replace(actor(subject, end), allowed_origins=frozenset(self.allowed_origins))

    async def find_fallen(self, _tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        self.asked += [who.subject for who in actors]
        now = frozenset(self.allowed_origins)
        strange = {who for who in actors if not replace(who, allowed_origins=now).comes_from_allowed_page}
        return strange | {who for who in actors if who.subject in self.revoked}

    async def ready(self) -> None:
        if self.ready_error is not None:
            raise self.ready_error

    def make_context(self, request: OperationRequest) -> "Context":
        self.requests.append(request)
        return Context(request, self)


class Context:
    """One operation."""

    def __init__(self, request: OperationRequest, stage: Stage) -> None:
        self.request = request
        self.request_id = request.request_id
        self.stage = stage
        self.squares: DataLoader[int, int] = DataLoader(self._load_squares)
        self.delivery = Delivery(forget_loaded=self.squares.clear_all)

    async def _load_squares(self, keys: list[int]) -> list[int]:
        self.stage.batches.append(keys)
        return [key * key for key in keys]


Info = strawberry.Info[Context, Any]


@strawberry.type
class Query:
    @strawberry.field
    def whoami(self, info: Info) -> str:
        return info.context.request.actor.subject

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def points(self, value: Points) -> Points:
        return value

    @strawberry.field
    async def square(self, info: Info, of: int) -> int:
        return await asyncio.shield(info.context.squares.load(of))

    @strawberry.field
    async def patient(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    @strawberry.field
    def denied(self) -> str | None:
        raise PermissionDenied("LOYALTY_READ")

    @strawberry.field
    def away(self) -> str | None:
        raise DatabaseAway(SECRET)

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError(SECRET)

    @strawberry.field
    def required(self) -> str:
        raise RuntimeError(SECRET)

    @strawberry.field
    def surrogate(self) -> str:
        return "\ud800"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def touch(self, info: Info, seconds: float = 0.0) -> int:
        info.context.stage.touching += 1
        await asyncio.sleep(seconds)
        info.context.stage.touched += 1
        return info.context.stage.touched


@strawberry.type
class Happening:
    """An event whose text cannot be read at first: the database is away for so many attempts."""

    number: int

    @strawberry.field
    def text(self, info: Info) -> str:
        stage = info.context.stage
        if stage.hindrances:
            raise stage.hindrances.pop(0)
        return f"event {self.number}"


async def happen(info: Info, to: int, after: str | None) -> AsyncGenerator[Happening, None]:
    """Yield events from 1 on. What a reader has seen it tells by `after`, or by the header of an event stream."""
    start = info.context.request.last_event_id or after
    info.context.delivery.begin_after(start)
    for number in range(int(start or 0) + 1, to + 1):
        info.context.delivery.take(number)
        yield Happening(number=number)
    if info.context.stage.source_error is not None:
        raise info.context.stage.source_error


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def happenings(self, info: Info, to: int, after: str | None = None) -> AsyncGenerator[Happening, None]:
        """Yield events that are delivered as the events of the product are."""
        async with aclosing(info.context.delivery.deliver(happen(info, to, after))) as events:
            async for event in events:
                yield event

    @strawberry.subscription
    async def count(self, info: Info, to: int, seconds: float = 0.0) -> AsyncGenerator[int, None]:
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(seconds)
        finally:
            info.context.stage.finished_generators += 1

    @strawberry.subscription
    async def context_number(self, info: Info) -> AsyncGenerator[str, None]:
        yield info.context.request_id

    @strawberry.subscription
    async def denied(self, info: Info) -> AsyncGenerator[int, None]:
        if info.context.request.actor.kind is ActorKind.STAFF:
            raise PermissionDenied("LOYALTY_READ")
        yield 1

    @strawberry.subscription
    async def breaks(self, after: int) -> AsyncGenerator[int, None]:
        for number in range(after):
            yield number
        raise RuntimeError(SECRET)

    @strawberry.subscription
    async def lags(self) -> AsyncGenerator[int, None]:
        """Yield numbers, until the stream itself notices that its reader is too slow."""
        yield 1
        raise ReaderTooSlow

    @strawberry.subscription
    async def dropped(self, info: Info) -> AsyncGenerator[int, None]:
        """Wait until somebody else notices that the reader is too slow."""
        yield 1
        info.context.request.drop_slow_reader()
        info.context.request.drop_slow_reader()
        await asyncio.sleep(60)
        yield 2

    @strawberry.subscription
    async def flood(self, info: Info, seconds: float) -> AsyncGenerator[str, None]:
        """Yield more than a connection can hold. The stream is dropped while it sends."""
        asyncio.get_running_loop().call_later(seconds, info.context.request.drop_slow_reader)
        while True:
            yield LARGE_TEXT


SCHEMA = build_schema(Query, Mutation, Subscription, unavailable=(DatabaseAway,))
