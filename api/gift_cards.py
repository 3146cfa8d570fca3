"""/gift-cards/{id}.pdf: a gift card to print, for the customer who holds it. The address has the id, never the code.

A request needs the Authorization header of the API, and its cost is taken from the same budget. The answer is the same
for a card of another tenant, a card of another customer, and a card that does not exist. A credential that may not read
its own cards gets that answer, too.
"""

import asyncio
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.budgets import tell_budget
from api.entrance import Entrance
from api.errors import RequestRefused, error_response, request_id_of, unavailable
from api.pages import answer_preflight, is_preflight
from api.requests import note_error
from loyalty.rules.errors import FeatureDisabled, NotEntitled, NotFound, PermissionDenied
from loyalty.rules.gift_card_errors import GiftCardEnded
from loyalty.rules.gift_card_sheet import CardSheet
from loyalty.rules.ids import GiftCardId
from loyalty.services.budget import Budgets
from loyalty.services.gift_card_sheet import read_card_sheet
from loyalty.services.world import World
from permissions.actor import Actor
from schema.budgets import BUDGET_USED_UP
from schema.masking import UNAVAILABLE_MESSAGE, ErrorCode
from schema.node_ids import row_id_of

CARDS_PREFIX = "/gift-cards/"
PDF = "application/pdf"
PDF_COST = 500
"""The cost of a printed card, in points of cost."""

PRINTS_AT_ONCE = 1
"""The number of cards that a process prints at the same time. Each takes a good part of a second of a core."""

MAX_WAITING_PRINTS = 20
"""The number of cards that wait to be printed or are being printed. One more is refused with 503."""


class Printer:
    """Prints cards in a thread, one after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(PRINTS_AT_ONCE)
        self._waiting = 0

    async def print(self, sheet: CardSheet) -> bytes:
        """Return the sheet as PDF. Raises `RequestRefused` if too many cards wait."""
        if self._waiting >= MAX_WAITING_PRINTS:
            raise unavailable(UNAVAILABLE_MESSAGE)
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_print_card, sheet)
        finally:
            self._waiting -= 1


def _print_card(sheet: CardSheet) -> bytes:
    # Imported with the first card: it takes about 0.3 seconds and 22 MB, which not every server needs.
    from api.card_printing import print_card  # noqa: PLC0415 - as above

    return print_card(sheet)


class CardDoor(NamedTuple):
    """The parts that the address needs to answer."""

    world: World
    entrance: Entrance
    budgets: Budgets
    printer: Printer


def card_route(world: World, entrance: Entrance, budgets: Budgets) -> Route:
    """Return the route that prints gift cards."""
    door = CardDoor(world, entrance, budgets, Printer())

    async def serve(request: Request) -> Response:
        try:
            if request.method == "OPTIONS":
                return _answer_options(request)
            return await _serve_card(door, request)
        except RequestRefused as refused:
            note_error(request.scope, refused.code)
            return error_response(refused, request_id_of(request))

    return Route(CARDS_PREFIX + "{card}.pdf", serve, methods=["GET", "OPTIONS"])


def _answer_options(request: Request) -> Response:
    if is_preflight(request.headers):
        return answer_preflight(request.headers)
    raise RequestRefused(405, ErrorCode.BAD_USER_INPUT, "Ask for cards with GET.", {"allow": "GET"})


async def _serve_card(door: CardDoor, request: Request) -> Response:
    """Answer with the card as PDF, and take its cost from the budget.

    Raises `RequestRefused` if the budget is too small.
    """
    actor = await door.entrance.admit(request)
    charged = await door.budgets.charge(actor, PDF_COST)
    response = Response(media_type=PDF, headers={"cache-control": "no-store"})
    tell_budget(response.headers, charged)
    if charged.retry_after is not None:
        headers = {name: value for name, value in response.headers.items() if name.startswith(("ratelimit", "retry"))}
        message = f"A card costs {PDF_COST} points, and {charged.left} are left."
        raise RequestRefused(429, ErrorCode.RATE_LIMITED, message, headers, reason=BUDGET_USED_UP)
    response.body = await door.printer.print(await _read_sheet(door, actor, request.path_params["card"]))
    response.headers["content-length"] = str(len(response.body))
    response.headers["content-disposition"] = 'inline; filename="gift-card.pdf"'
    response.headers["x-content-type-options"] = "nosniff"
    return response


async def _read_sheet(door: CardDoor, actor: Actor, card: str) -> CardSheet:
    """Return the sheet to print. Raises `RequestRefused`; 404 also for a card that the caller may not see."""
    try:
        return await read_card_sheet(door.world, actor, GiftCardId(row_id_of(card, "GiftCard", "id")))
    except (NotFound, PermissionDenied):
        raise RequestRefused(404, ErrorCode.BAD_USER_INPUT, "There is no such gift card.") from None
    except GiftCardEnded as ended:
        raise RequestRefused(410, ErrorCode.BAD_USER_INPUT, ended.message, reason=ended.code) from None
    except (FeatureDisabled, NotEntitled) as off:
        raise RequestRefused(403, ErrorCode.FEATURE_DISABLED, off.message, reason=off.code) from None
    except door.entrance.unavailable:
        raise unavailable(UNAVAILABLE_MESSAGE) from None
