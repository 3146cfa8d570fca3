"""The objects that a resolver of the platform's schema may use. They include no tenant and no actor of a tenant."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import strawberry

from loyalty.rules.ids import TenantId
from loyalty.rules.platform import PlatformCaller
from loyalty.services.world import World
from schema.connections import Seal
from schema.delivery import Delivery
from schema.watching import Operation
from tenancy.policies import NO_TENANT

PLATFORM_SEAL = TenantId(UUID(NO_TENANT))
"""Takes the place of the tenant in the seals of cursors: a list of the platform belongs to no tenant."""


@dataclass(slots=True)
class PlatformContext:
    """One operation of the platform."""

    world: World
    platform: PlatformCaller
    request_id: str
    cursor_key: bytes
    delivery: Delivery = field(default_factory=Delivery)
    operation: Operation = field(default_factory=Operation)
    """The facts about the operation for metrics and traces."""

    @property
    def caller(self) -> tuple[TenantId, str]:
        """The name of the client that sent the operation, the same for all its credentials."""
        return PLATFORM_SEAL, self.platform.subject

    @property
    def seal(self) -> Seal:
        """The seal for cursors."""
        return Seal(self.cursor_key, PLATFORM_SEAL)


PlatformInfo = strawberry.Info[PlatformContext, Any]
