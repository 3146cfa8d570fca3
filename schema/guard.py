"""Declare root fields, here and nowhere else, so that none is left without a guard; a test checks the schema.

The service behind a field checks the permission again. The guard shows it to readers of the schema, and refuses before
any work. It also lets a mutation refuse unreadable values in its ``userErrors``.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import strawberry

from loyalty.rules.errors import InvalidInput
from permissions.catalog import Permission
from permissions.policy import require_person, require_running
from schema.batch_inputs import convert_items
from schema.batch_items import INPUT
from schema.errors import user_errors
from schema.input_values import BATCH, unreadable_problems

REQUIRES = "requires"
"""The key of a field's metadata for its permissions, of which one is enough; empty for any credential."""
FOR_PEOPLE = "for_people"
"""The key of a field's metadata that says whether only people of the team may call it."""


def guarded(
    *permissions: Permission,
    description: str,
    even_when_off: bool = False,
    prepares: bool = False,
    for_people: bool = False,
    batch: str | None = None,
    deprecation_reason: str | None = None,
) -> Callable[[Callable[..., Awaitable[Any]]], Any]:
    """Declare a query or mutation that needs one of ``permissions``.

    While the program is off, everybody may call ``even_when_off`` fields, and the team may call ``prepares`` fields.
    Only people of the team may call ``for_people`` fields, and no partner system.

    ``batch`` names the list whose items the field checks one by one: an argument, or a field of the input.
    """

    def declare(resolve: Callable[..., Awaitable[Any]]) -> Any:
        @functools.wraps(resolve)
        async def checked(info: strawberry.Info, *arguments: Any, **named: Any) -> Any:
            if permissions:
                require_running(info.context.actor, *permissions, even_when_off=even_when_off, prepares=prepares)
            if for_people:
                require_person(info.context.actor, permissions[0])
            if INPUT in named:
                await convert_items(named[INPUT])
                problems = unreadable_problems(named[INPUT], leave=batch)
                if problems:
                    return resolve.__annotations__["return"](user_errors=user_errors(InvalidInput(problems)))
            return await resolve(info, *arguments, **named)

        return strawberry.field(
            resolver=checked,
            description=description,
            deprecation_reason=deprecation_reason,
            metadata={REQUIRES: permissions, FOR_PEOPLE: for_people, BATCH: batch},
        )

    return declare


def guarded_stream(
    *permissions: Permission, description: str
) -> Callable[[Callable[..., AsyncGenerator[Any, None]]], Any]:
    """Declare a subscription that needs one of ``permissions``. An event that cannot be read is read again."""

    def declare(resolve: Callable[..., AsyncGenerator[Any, None]]) -> Any:
        @functools.wraps(resolve)
        async def checked(info: strawberry.Info, *arguments: Any, **named: Any) -> AsyncGenerator[Any, None]:
            delivery = info.context.delivery
            delivery.is_subscription = True
            require_running(info.context.actor, *permissions)
            async with aclosing(delivery.deliver(resolve(info, *arguments, **named))) as values:
                async for value in values:
                    yield value

        return strawberry.subscription(resolver=checked, description=description, metadata={REQUIRES: permissions})

    return declare
