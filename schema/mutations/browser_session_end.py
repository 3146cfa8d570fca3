"""``browserSessionEnd``: sign a person of the team out of one browser."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.browser_session import end_browser_session
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.browser_session import BrowserSession


@strawberry.input(description="The browser session to end.")
class BrowserSessionEndInput:
    id: strawberry.ID = strawberry.field(description="The session.")


@strawberry.type(description="The ended browser session.")
class BrowserSessionEndPayload:
    user_errors: UserErrors = user_errors_field()
    browser_session: BrowserSession | None = strawberry.field(
        default=None, description="The session, with the moment of its end."
    )


@guarded(
    description=(
        "End a browser session: its next request is refused, and open sockets are closed within 5 seconds. People end "
        "their own sessions; MEMBERS_MANAGE ends those of the whole team. Others are `NOT_FOUND`. The provider is told "
        "nothing. Ending twice is no error."
    ),
    even_when_off=True,
)
async def browser_session_end(
    info: Info,
    input: Annotated[BrowserSessionEndInput, strawberry.argument(description="The session to end.")],  # noqa: A002
) -> BrowserSessionEndPayload:
    """End a session. If it has ended before, the first time stays."""

    async def work() -> Mapping[str, Any]:
        session_id = row_id_of(input.id, "BrowserSession", "id")
        ended = await end_browser_session(info.context.world, info.context.actor, session_id)
        info.context.loaders.clear()
        return {"browser_session": ended}

    return await answer_mutation(BrowserSessionEndPayload, work)
