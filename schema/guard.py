"""Root fields are declared here and nowhere else, so that none can be left unguarded; a test walks the schema.

The service behind a field asks again: the guard is for readers of the schema and for a refusal before any work. It
also lets a mutation refuse, in its ``userErrors``, what the scalars could not read.
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
"""The key of a field's metadata that holds the permissions of which one is enough; empty for any credential."""
FOR_PEOPLE = "for_people"
"""The key of a field's metadata that says whether only people of the team reach it."""


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

    ``even_when_off`` fields are there for everybody while the program is off, ``prepares`` fields for the team.
    ``for_people`` fields are for people of the team: no partner system reaches them.

    ``batch`` names the list whose items the field checks itself, one by one: an argument, or a field of the input.
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
    """Declare a subscription that needs one of ``permissions``; an event that cannot be read is tried again."""

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
