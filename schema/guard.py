"""Root fields are declared here and nowhere else, so that none can be left unguarded; a test walks the schema.

The service behind a field asks again: the guard is for readers of the schema and for a refusal before any work.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import strawberry

from permissions.catalog import Permission
from permissions.policy import require_any

REQUIRES = "requires"
"""The key of a field's metadata that holds the permissions of which one is enough; empty for any credential."""


def guarded(
    *permissions: Permission, description: str, even_when_off: bool = False
) -> Callable[[Callable[..., Awaitable[Any]]], Any]:
    """Declare a query or mutation that needs one of ``permissions``."""

    def declare(resolve: Callable[..., Awaitable[Any]]) -> Any:
        @functools.wraps(resolve)
        async def checked(info: strawberry.Info, *arguments: Any, **named: Any) -> Any:
            if permissions:
                require_any(info.context.actor, *permissions, even_when_off=even_when_off)
            return await resolve(info, *arguments, **named)

        return strawberry.field(resolver=checked, description=description, metadata={REQUIRES: permissions})

    return declare


def guarded_stream(
    *permissions: Permission, description: str
) -> Callable[[Callable[..., AsyncGenerator[Any, None]]], Any]:
    """Declare a subscription that needs one of ``permissions``."""

    def declare(resolve: Callable[..., AsyncGenerator[Any, None]]) -> Any:
        @functools.wraps(resolve)
        async def checked(info: strawberry.Info, *arguments: Any, **named: Any) -> AsyncGenerator[Any, None]:
            require_any(info.context.actor, *permissions)
            async for value in resolve(info, *arguments, **named):
                yield value

        return strawberry.subscription(resolver=checked, description=description, metadata={REQUIRES: permissions})

    return declare
