"""What a resolver of the platform's schema may reach. There is no tenant in it, and no actor of one."""

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
"""Stands for the tenant in the seals of cursors: a list of the platform belongs to none."""


@dataclass(slots=True)
class PlatformContext:
    """One operation of the platform."""

    world: World
    platform: PlatformCaller
    request_id: str
    cursor_key: bytes
    delivery: Delivery = field(default_factory=Delivery)
    operation: Operation = field(default_factory=Operation)
    """What is noted of the operation for those who watch."""

    @property
    def caller(self) -> tuple[TenantId, str]:
        """The client that sent the operation, whichever credential it used."""
        return PLATFORM_SEAL, self.platform.subject

    @property
    def seal(self) -> Seal:
        """What cursors are sealed with."""
        return Seal(self.cursor_key, PLATFORM_SEAL)


PlatformInfo = strawberry.Info[PlatformContext, Any]
