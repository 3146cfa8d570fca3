"""Browser sessions of the tenant's team."""

from datetime import datetime

import strawberry

from loyalty.rules.errors import refuse_problems
from loyalty.rules.text import check_text
from loyalty.services.browser_session import SessionFilter, count_browser_sessions, page_browser_sessions
from loyalty.services.revocation import NAME_MAX_LENGTH
from loyalty.storage.browser_sessions import BrowserSessionRow
from loyalty.storage.window import TimePlace
from schema.connections import Connection, Order, Page, time_order
from schema.context import Info
from schema.fields import computed, shows
from schema.types.listed import load_listed_page
from schema.types.node import Node, node_id, reads, row_of

SESSION_ORDER: Order[TimePlace] = time_order("sessions")


@strawberry.type(
    description="A browser in which a person of the team is signed in at the service's own address. It ends by itself, "
    "by signing out, and with what the person may do here."
)
class BrowserSession(Node):
    is_type_of = reads(BrowserSessionRow)

    id: strawberry.ID = node_id("BrowserSession")
    person_name: str = shows("display", description="The person, by the name that the provider told.")
    actor_subject: str = shows(
        "subject", description="The subject of the person's credentials, as a member and the audit log have it."
    )
    issuer: str = strawberry.field(description="Where the person signed in: the claim `iss` of the provider.")
    browser: str | None = shows(
        "user_agent",
        description="What the browser said of itself at the sign-in (`User-Agent`), up to 200 characters. Null where "
        "it said nothing. A browser can say anything.",
    )
    started_at: datetime = strawberry.field(description="When the person signed in.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute. Null until it is used first."
    )
    signed_in_until: datetime = shows("ends_at", description="When it ends by itself, 8 hours after the sign-in.")
    ended_at: datetime | None = strawberry.field(
        description="When it was ended, by signing out or by somebody of the team; null while it was not."
    )

    @computed(description="Whether the caller uses this session just now.")
    def current(self, info: Info) -> bool:
        """The session of the credential."""
        session = info.context.actor.session
        return session is not None and session.id == row_of(BrowserSessionRow, self).id


@strawberry.input(description="Which browser sessions; everything that is given must hold.")
class BrowserSessionFilterInput:
    own: bool = strawberry.field(default=False, description="Only those of the caller.")
    actor_subject: str | None = strawberry.field(
        default=None,
        description="Only those of this person, by the subject as `Member.personSubject` has it; 1 to 255 characters.",
    )


async def session_page(info: Info, given: BrowserSessionFilterInput | None, page: Page) -> Connection[BrowserSession]:
    """Return a page of browser sessions. Refusal: InvalidInput."""
    wanted = SessionFilter()
    if given is not None:
        if given.actor_subject is not None:
            refuse_problems([check_text(given.actor_subject, ("filter", "actor_subject"), NAME_MAX_LENGTH)])
        wanted = SessionFilter(own=given.own, subject=given.actor_subject)
    return await load_listed_page(
        info, SESSION_ORDER, page, page_browser_sessions, wanted, "started_at", count_browser_sessions
    )
