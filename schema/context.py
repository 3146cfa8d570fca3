"""What a resolver may reach: one context per operation, also on a WebSocket."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import strawberry

from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.world import World
from loyalty.storage.events import EventRow
from permissions.actor import Actor
from schema.connections import Seal
from schema.loaders import Loaders


class EventFeed(Protocol):
    """Committed events of a tenant, from any position on, as they come."""

    def follow(self, tenant_id: TenantId, after: int | None) -> AsyncGenerator[EventRow, None]:
        """Events after a position, or from now on when ``after`` is None."""


class CustomerTokenSigner(Protocol):
    """Signs short-lived tokens for customers' apps."""

    def __call__(self, tenant_id: TenantId, customer_id: CustomerId, lifetime: timedelta) -> tuple[str, datetime]:
        """The token and the instant it ends."""


@dataclass(slots=True)
class Services:
    """What the process offers to every operation, whoever asks."""

    world: World
    feed: EventFeed
    sign_customer_token: CustomerTokenSigner
    make_api_token: Callable[[], tuple[str, str]]
    """A new secret and its SHA-256."""
    cursor_key: bytes
    """What cursors are sealed with; the same in every server process."""


@dataclass(slots=True)
class Context:
    """One operation: who asks, what it may reach, and what it has loaded so far."""

    services: Services
    actor: Actor
    request_id: str
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.services.world, self.actor)

    @property
    def seal(self) -> Seal:
        """What cursors of this caller's tenant are sealed with."""
        return Seal(self.services.cursor_key, self.actor.tenant_id)

    @property
    def world(self) -> World:
        """What use cases are given."""
        return self.services.world


Info = strawberry.Info[Context, Any]
