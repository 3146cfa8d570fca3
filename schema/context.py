"""What a resolver may reach: one context per operation, also on a WebSocket."""

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
"""What the cursors of events say: a position of the tenant's log."""


MAX_KEPT_CURSORS = 256
"""Cursors of events that are kept after they were made."""

API_TOKEN, CLIENT_SECRET = "api", "client"
"""Kinds of secrets; the kind stands in the text of a secret."""


class EventFeed(Feed, Protocol):
    """Committed events of a tenant, from any position on, as they come."""

    def follow(
        self,
        tenant_id: TenantId,
        after: int | None,
        customer_id: CustomerId | None = None,
        at_rest: Callable[[int], bool] | None = None,
    ) -> AsyncGenerator[EventRow, None]:
        """Events after a position, or from now on when ``after`` is None; what is behind only about a customer.

        ``at_rest`` is called with the position reached when no event waits; it ends where that returns true.
        """


class CustomerTokenSigner(Protocol):
    """Signs short-lived tokens for customers' apps."""

    def __call__(self, maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
        """The token and the instant it ends."""


@dataclass(slots=True)
class Services:
    """What the process offers to every operation of every caller."""

    world: World
    feed: EventFeed
    sign_customer_token: CustomerTokenSigner
    make_secret: Callable[[str], tuple[str, str]]
    """A new secret of a kind, and its SHA-256."""
    cursor_key: bytes
    """What cursors are sealed with; the same in every server process."""
    hash_of_secret: Callable[[str], str | None]
    """The SHA-256 of a secret that somebody holds, None for what can be none."""
    older_cursor_keys: tuple[bytes, ...] = ()
    """What cursors were sealed with before the key was changed. They are still read."""
    budgets: Budgets | None = None
    """What operations are charged to; None where nothing is."""
    queries: QueryStore | None = field(default_factory=QueryStore)
    """Documents that clients name by their hash; None where they cannot (`TREUE_PERSISTED_QUERIES`)."""
    sign_in: SignInAddress | None = None
    """The address at which staff sign in with a browser; None where nobody can."""
    fan_out: FanOut = field(default_factory=FanOut)
    """The answers to events, which subscribers with the same question share."""
    channels: Channels = field(default_factory=Channels)
    """What tells live subscriptions their events."""


@dataclass(slots=True)
class Context:
    """One operation: who asks, what it may reach, and what it has loaded so far."""

    services: Services
    actor: Actor
    request_id: str
    last_event_id: str | None = None
    """The cursor after which the reader of an event stream wants to go on, whatever `after` says."""
    operation: Operation = field(default_factory=Operation)
    """What is noted of the operation for those who watch."""
    charged: Charge | None = field(init=False, default=None)
    """What the operation cost, once that is known."""
    trusted_sha256: str | None = field(init=False, default=None)
    """The hash of the trusted document that the operation runs; None for any other document."""
    _cost_report: dict[str, object] | None = field(init=False, default=None)
    send_now: SendNow | None = None
    """Sends the payload of an event at once where the transport can; else results are taken from the stream."""
    delivery: Delivery = field(init=False)
    _question: Question | None = field(init=False, default=None)
    _loaders: Loaders | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.delivery = Delivery(self.event_cursor, self.forget_loaded)

    @property
    def caller(self) -> tuple[TenantId, str]:
        """The client that sent the operation, whichever credential it used."""
        return self.actor.tenant_id, self.actor.subject

    async def charge(self, cost: int, *, reported: bool) -> GraphQLError | None:
        """Take what the operation costs from the caller's budget; RATE_LIMITED where too little is left.

        With `reported` the first result tells of it; that of a refused operation always does.
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
        """What the next result says of the cost; None where it has been said."""
        report, self._cost_report = self._cost_report, None
        return report

    async def find_text(self, asked: AskedDocument | None, text: str | None) -> str | GraphQLError:
        """The text of the document to run, which the client has sent, or names by its hash, or both.

        The error where the client may not run it, or where it is not known.
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
        """The text of a document that is named by its hash alone, by a client that may run any."""
        queries = self.services.queries
        found: str | GraphQLError | None = None if queries is None else queries.find(self.actor.tenant_id, asked.sha256)
        if found is None:
            found = await self._find_trusted(asked.sha256)
        if found is not None:
            return found
        return refuse_unsupported(asked) if queries is None else refuse_unknown(asked)

    async def _find_trusted(self, sha256: str) -> str | GraphQLError | None:
        """The text of a document that the tenant trusts. Asking the database for it costs points, as any question."""
        world, actor = self.world, self.actor
        text: str | GraphQLError | None = recall_document(world, actor, sha256)
        if text is None and has_documents(world, actor):
            text = await self.charge(QUESTION_COST, reported=False) or await find_document(world, actor, sha256)
        if isinstance(text, str):
            self.trusted_sha256 = sha256
        return text

    def keep_text(self, asked: AskedDocument, text: str) -> None:
        """Keep a document that may run, for those who name it by its hash from now on."""
        if self.services.queries is not None and asked.field == PERSISTED_QUERY:
            self.services.queries.keep(self.actor.tenant_id, self.actor.client, asked.sha256, text)

    @property
    def fan_out(self) -> FanOut:
        """What reads the fields of an event, once for all who share the answer."""
        return self.services.fan_out

    @property
    def loaders(self) -> Loaders:
        """What reads relations in batches. They are made when they are first asked for: they take 28 kB."""
        if self._loaders is None:
            self._loaders = Loaders(self.services.world, self.actor)
        return self._loaders

    def forget_loaded(self) -> None:
        """Drop what was loaded, and the loaders: a subscription that waits for an event needs none."""
        self._loaders = None

    def ask(self, group: Group | None, read: ReadEvent) -> None:
        """Note what a subscription asks of each event, until a channel asks it."""
        self._question = Question(self.actor.tenant_id, group, read, self.event_cursor)

    def join_channel(self, watch: Watch, position: int) -> bool:
        """Let a channel tell all events after a position; false where it cannot begin there."""
        services, question = self.services, self._question
        if question is None:
            return False
        subscriber = services.channels.join(services.feed, question, watch, position, self.delivery, self.send_now)
        if subscriber is not None:
            self.delivery.subscriber = subscriber
            self._question = self.send_now = None
        return subscriber is not None

    def for_event(self, position: int) -> "Context":
        """A context in which one event is read for a channel, with loaders of its own."""
        context = Context(self.services, self.actor, self.request_id)
        context.delivery.take(position)
        return context

    def event_cursor(self, position: int) -> Cursor:
        """The cursor of the event at a position of the tenant's log."""
        return _event_cursor(self.seal, position)

    @property
    def seal(self) -> Seal:
        """What cursors of this caller's tenant are sealed with."""
        return Seal(self.services.cursor_key, self.actor.tenant_id, self.services.older_cursor_keys)

    @property
    def world(self) -> World:
        """What use cases are given."""
        return self.services.world


@lru_cache(MAX_KEPT_CURSORS)
def _event_cursor(seal: Seal, position: int) -> Cursor:
    """Thousands of subscribers are told the same cursor."""
    return cursor_of(seal, position, EVENT_ORDER)


Info = strawberry.Info[Context, Any]
