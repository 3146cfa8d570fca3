"""The objects that a resolver may use: one context for each operation, also on a WebSocket."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import strawberry
from graphql import GraphQLError

from loyalty.rules.budget import Charge
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.rules.sign_in import SignInAddress
from loyalty.services.budget import Budgets
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.trusted_document import find_document, has_documents, recall_document
from loyalty.services.world import World
from loyalty.storage.events import EventRow
from permissions.actor import Actor
from schema.budgets import refuse_charge, report_cost
from schema.channels import Channels, Feed, Question, ReadEvent, SendNow, Watch
from schema.connections import Order, Seal, cursor_of, whole_value
from schema.delivery import Delivery
from schema.fan_out import FanOut, Group
from schema.limits import QUESTION_COST
from schema.loaders import Loaders
from schema.persisted import (
    PERSISTED_QUERY,
    AskedDocument,
    hash_of_text,
    refuse_mismatch,
    refuse_unknown,
    refuse_unsupported,
    refuse_untrusted,
)
from schema.query_store import QueryStore
from schema.scalars import Cursor
from schema.watching import Operation

EVENT_ORDER: Order[int] = Order("events", lambda position: (position,), whole_value)
"""The order in the cursors of events: a position of the tenant's log."""


MAX_KEPT_CURSORS = 256
"""The number of cached cursors of events."""

API_TOKEN, CLIENT_SECRET = "api", "client"
"""Kinds of secrets; the kind stands in the text of a secret."""


class EventFeed(Feed, Protocol):
    """The committed events of a tenant, from any position on."""

    def follow(
        self,
        tenant_id: TenantId,
        after: int | None,
        customer_id: CustomerId | None = None,
        at_rest: Callable[[int], bool] | None = None,
    ) -> AsyncGenerator[EventRow, None]:
        """Yield events after a position, or from now on if ``after`` is None.

        With a customer, past events are that customer's. ``at_rest`` is called with the reached position when no event
        waits. If it returns True, the generator ends.
        """


class CustomerTokenSigner(Protocol):
    """Signs short-lived tokens for customers' apps."""

    def __call__(self, maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
        """Return the token and the instant at which it ends."""


@dataclass(slots=True)
class Services:
    """The parts of the process that every operation of every caller may use."""

    world: World
    feed: EventFeed
    sign_customer_token: CustomerTokenSigner
    make_secret: Callable[[str], tuple[str, str]]
    """Makes a new secret of a kind; returns it with its SHA-256."""
    cursor_key: bytes
    """The key that seals cursors. It is the same in every server process."""
    hash_of_secret: Callable[[str], str | None]
    """Returns the SHA-256 of a caller's secret; None for a text that cannot be one."""
    older_cursor_keys: tuple[bytes, ...] = ()
    """Former keys of cursors. Cursors that they sealed are still read."""
    budgets: Budgets | None = None
    """The budgets that pay for operations; None if operations cost nothing."""
    queries: QueryStore | None = field(default_factory=QueryStore)
    """The documents that clients name by their hash; None if that is switched off (`TREUE_PERSISTED_QUERIES`)."""
    sign_in: SignInAddress | None = None
    """The address at which staff sign in with a browser; None if there is none."""
    fan_out: FanOut = field(default_factory=FanOut)
    """The answers to events, which subscribers with the same question share."""
    channels: Channels = field(default_factory=Channels)
    """The channels, which tell events to live subscriptions."""


@dataclass(slots=True)
class Context:
    """One operation: its caller, the parts that it may use, and the rows that it has loaded."""

    services: Services
    actor: Actor
    request_id: str
    last_event_id: str | None = None
    """The cursor after which the reader of an event stream resumes. It counts before the argument `after`."""
    operation: Operation = field(default_factory=Operation)
    """The facts about the operation for metrics and traces."""
    charged: Charge | None = field(init=False, default=None)
    """The charge for the operation; None before it is known."""
    trusted_sha256: str | None = field(init=False, default=None)
    """The hash of the trusted document that the operation runs; None for any other document."""
    _cost_report: dict[str, object] | None = field(init=False, default=None)
    send_now: SendNow | None = None
    """Sends the payload of an event at once, if the transport can. Otherwise the transport takes results from the
    stream."""
    delivery: Delivery = field(init=False)
    _question: Question | None = field(init=False, default=None)
    _loaders: Loaders | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.delivery = Delivery(self.event_cursor, self.forget_loaded)

    @property
    def caller(self) -> tuple[TenantId, str]:
        """The name of the client that sent the operation, the same for all its credentials."""
        return self.actor.tenant_id, self.actor.subject

    async def charge(self, cost: int, *, reported: bool) -> GraphQLError | None:
        """Take the operation's cost from the caller's budget. Returns RATE_LIMITED if the budget has too little left.

        With `reported` the first result shows the cost. A refused operation always shows it.
        """
        if self.services.budgets is None:
            return None
        self.operation.cost = cost
        self.charged = charged = await self.services.budgets.charge(self.actor, cost)
        self.operation.is_over_budget = charged.retry_after is not None
        if reported or charged.retry_after is not None:
            self._cost_report = report_cost(charged)
        return refuse_charge(charged)

    def take_cost_report(self) -> dict[str, object] | None:
        """Return the cost report for the next result; None if it was returned before."""
        report, self._cost_report = self._cost_report, None
        return report

    async def find_text(self, asked: AskedDocument | None, text: str | None) -> str | GraphQLError:
        """Return the text of the document to run. The client has sent the text, or its hash, or both.

        Returns the error if the client may not run it, or if it is not known.
        """
        if asked is not None and text is not None and hash_of_text(text) != asked.sha256:
            return refuse_mismatch(asked)
        if self.actor.runs_trusted_documents_only:
            trusted = await self._find_trusted(hash_of_text(text or "") if asked is None else asked.sha256)
            return refuse_untrusted(asked) if trusted is None else trusted
        if text is not None or asked is None:
            return text or ""
        return await self._find_named(asked)

    async def _find_named(self, asked: AskedDocument) -> str | GraphQLError:
        """Return the text of a document that is named only by its hash, for a client that may run every document."""
        queries = self.services.queries
        found: str | GraphQLError | None = None if queries is None else queries.find(self.actor.tenant_id, asked.sha256)
        if found is None:
            found = await self._find_trusted(asked.sha256)
        if found is not None:
            return found
        return refuse_unsupported(asked) if queries is None else refuse_unknown(asked)

    async def _find_trusted(self, sha256: str) -> str | GraphQLError | None:
        """Return the text of a document that the tenant trusts. Reading it from the database has a cost."""
        world, actor = self.world, self.actor
        text: str | GraphQLError | None = recall_document(world, actor, sha256)
        if text is None and has_documents(world, actor):
            text = await self.charge(QUESTION_COST, reported=False) or await find_document(world, actor, sha256)
        if isinstance(text, str):
            self.trusted_sha256 = sha256
        return text

    def keep_text(self, asked: AskedDocument, text: str) -> None:
        """Keep a document that may run, so that clients can name it by its hash from now on."""
        if self.services.queries is not None and asked.field == PERSISTED_QUERY:
            self.services.queries.keep(self.actor.tenant_id, self.actor.client, asked.sha256, text)

    @property
    def fan_out(self) -> FanOut:
        """The fan-out that reads an event once for all subscribers with the same answer."""
        return self.services.fan_out

    @property
    def loaders(self) -> Loaders:
        """The loaders of the operation. They are made at the first use, because they take 28 kB."""
        if self._loaders is None:
            self._loaders = Loaders(self.services.world, self.actor)
        return self._loaders

    def forget_loaded(self) -> None:
        """Drop the loaders with their rows: a subscription that waits for an event needs none."""
        self._loaders = None

    def ask(self, group: Group | None, read: ReadEvent) -> None:
        """Remember what a subscription asks about each event, until it joins a channel."""
        self._question = Question(self.actor.tenant_id, group, read, self.event_cursor)

    def join_channel(self, watch: Watch, position: int) -> bool:
        """Let a channel tell all events after a position; False if the channel cannot begin there."""
        services, question = self.services, self._question
        if question is None:
            return False
        subscriber = services.channels.join(services.feed, question, watch, position, self.delivery, self.send_now)
        if subscriber is not None:
            self.delivery.subscriber = subscriber
            self._question = self.send_now = None
        return subscriber is not None

    def for_event(self, position: int) -> "Context":
        """Return a context in which a channel reads one event, with loaders of its own."""
        context = Context(self.services, self.actor, self.request_id)
        context.delivery.take(position)
        return context

    def event_cursor(self, position: int) -> Cursor:
        """Return the cursor of the event at a position of the tenant's log."""
        return _event_cursor(self.seal, position)

    @property
    def seal(self) -> Seal:
        """The seal for cursors of this caller's tenant."""
        return Seal(self.services.cursor_key, self.actor.tenant_id, self.services.older_cursor_keys)

    @property
    def world(self) -> World:
        """The world for use cases."""
        return self.services.world


@lru_cache(MAX_KEPT_CURSORS)
def _event_cursor(seal: Seal, position: int) -> Cursor:
    """Return the cursor of an event. It is cached, because thousands of subscribers get the same one."""
    return cursor_of(seal, position, EVENT_ORDER)


Info = strawberry.Info[Context, Any]
