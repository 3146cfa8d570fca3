"""Gift cards are printed over HTTP: for the customer who has one, and for nobody else."""

import httpx2
import pypdfium2
import zxingcpp

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, money, without_request_id
from tests.acceptance.conftest import OpenBusiness

CARD = "giftCard { id code }"
PAGE = "https://salon.example"


async def fetch(caller: Caller, card: str, **headers: str) -> httpx2.Response:
    """Ask for a card as PDF."""
    address = caller.server.url.removesuffix("/graphql") + f"/gift-cards/{card}.pdf"
    async with httpx2.AsyncClient(timeout=60) as http:
        return await http.get(address, headers={**caller.headers, **headers})


async def sell(business: Business, customer: str) -> Json:
    """Issue a card to a customer; it and its code."""
    await business.owner.do("customerUpsert", "customer { id }", externalId=customer, fullName=customer)
    sold: Json = await business.owner.do(
        "giftCardIssue",
        f"{CARD} code",
        origin="MONEY",
        amount=money("40.00"),
        customer={"externalId": customer},
        idempotencyKey=f"sold to {customer}",
    )
    return sold


async def test_a_customer_prints_their_card_in_the_language_and_colour_of_the_business(
    businesses: OpenBusiness,
) -> None:
    salon = await businesses(locale="pl-PL")
    sold = await sell(salon, "anna")
    anna, card = await salon.customer("anna"), sold["giftCard"]["id"]
    await salon.manager.do("programUpdate", "program { giftCardColor }", giftCardColor="#ff0000")
    answer = await fetch(anna, card)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    assert "points" in answer.headers["ratelimit"]
    page = pypdfium2.PdfDocument(answer.content)[0]
    picture = page.render(scale=3).to_pil()
    assert picture.getpixel((5, 5))[:3] == (255, 0, 0)
    (found,) = zxingcpp.read_barcodes(picture)
    assert found.text == sold["code"].replace("-", "")
    text = page.get_textpage().get_text_range()
    assert "Karta podarunkowa" in text
    assert "40,00 EUR" in text


async def test_nobody_else_is_told_anything_of_a_card(salon: Business, rival: Business) -> None:
    """Another customer, the team, another tenant, after the card was given, and ids of nothing: one answer."""
    sold, theirs = await sell(salon, "anna"), await sell(rival, "anna")
    await sell(salon, "ben")
    card = sold["giftCard"]["id"]
    anna, ben = await salon.customer("anna"), await salon.customer("ben")
    callers = [ben, salon.owner, salon.manager, salon.staff, salon.integration, await rival.customer("anna")]
    answers = [await fetch(caller, card) for caller in callers]
    odd = (theirs["giftCard"]["id"], "nothing", card[:-1], "%00", "x" * 5_000, sold["code"])
    answers += [await fetch(anna, other) for other in odd]
    await anna.do("giftCardGive", "gift { id }", giftCard=card, recipientName="Eva", idempotencyKey="to eva")
    answers.append(await fetch(anna, card))
    told = {str(without_request_id(answer.json())) for answer in answers}
    assert {answer.status_code for answer in answers} == {404}
    assert len(told) == 1, told
    assert all(sold["code"] not in answer.text for answer in answers)
    assert (await fetch(anna._replace(token=None), card)).status_code == 401
    assert (await fetch(anna._replace(token="wrong"), card)).status_code == 401


async def test_a_card_that_ended_and_a_program_that_is_off_print_nothing(salon: Business) -> None:
    sold = await sell(salon, "anna")
    anna, card = await salon.customer("anna"), sold["giftCard"]["id"]
    await salon.owner.do("giftCardCancel", CARD, giftCard=card, idempotencyKey="gone")
    ended = await fetch(anna, card)
    assert (ended.status_code, ended.json()["errors"][0]["extensions"]["reason"]) == (410, "GIFT_CARD_ENDED")
    await salon.manager.do("programUpdate", "program { enabled }", enabled=False)
    off = await fetch(anna, card)
    assert (off.status_code, off.json()["errors"][0]["extensions"]["code"]) == (403, "FEATURE_DISABLED")


async def test_pages_print_cards_where_the_tenant_allows_them(salon: Business) -> None:
    """A preflight is answered as that of the API; a page that is not allowed reads nothing."""
    sold = await sell(salon, "anna")
    anna, card = await salon.customer("anna"), sold["giftCard"]["id"]
    refused = await fetch(anna, card, origin=PAGE)
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    await salon.owner.do("allowedOriginsSet", "__typename", origins=[PAGE])
    allowed = await fetch(anna, card, origin=PAGE)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
    asked = {"origin": PAGE, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    async with httpx2.AsyncClient() as http:
        address = anna.server.url.removesuffix("/graphql") + f"/gift-cards/{card}.pdf"
        preflight = await http.options(address, headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
