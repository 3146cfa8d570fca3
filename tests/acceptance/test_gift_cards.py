"""Gift cards over HTTP at two servers: one card, many clients, and what each of them is told."""

import asyncio
import itertools
from collections import Counter

from tests.acceptance.business import Business
from tests.acceptance.client import Json, adjust, money, purchase_of, record

CLIENTS = 256
AT_ONCE = 64
CARD = "giftCard { id codeEnding code }"


def codes(payloads: list[Json]) -> Counter[str]:
    """Return how many calls were answered, and how many were refused with which code."""
    return Counter(payload["userErrors"][0]["code"] if payload["userErrors"] else "done" for payload in payloads)


async def test_of_256_clients_who_spend_1_of_100_euros_exactly_100_succeed(salon: Business) -> None:
    """Hold and capture at two servers, some by code and some by id: what is spent is never more than the card had."""
    sold = await salon.owner.do(
        "giftCardIssue", f"{CARD} code", origin="MONEY", amount=money("100.00"), idempotencyKey="sold"
    )
    card, at_once = sold["giftCard"]["id"], asyncio.Semaphore(AT_ONCE)
    callers = itertools.cycle([salon.owner.at(server) for server in salon.installation.servers])

    async def spend(number: int) -> Json:
        caller = next(callers)
        named = {"code": sold["code"].lower()} if number % 8 == 0 else {"id": card}
        async with at_once:
            held: Json = await caller.mutate(
                "giftCardHold",
                "giftCardHold { id }",
                giftCard=named,
                amount=money("1.00"),
                idempotencyKey=f"h-{number}",
            )
            if held["userErrors"]:
                return held
            taken: Json = await caller.mutate(
                "giftCardCapture",
                "giftCardHold { state }",
                hold=held["giftCardHold"]["id"],
                idempotencyKey=f"c-{number}",
            )
            return taken

    answers = await asyncio.gather(*(spend(number) for number in range(CLIENTS)))
    assert codes(answers) == {"done": 100, "GIFT_CARD_BALANCE_TOO_LOW": CLIENTS - 100}
    found = await salon.owner.get(f'{{ giftCard(id: "{card}") {{ balance {{ amount }} cardState }} }}')
    assert found == {"balance": {"amount": "0.00"}, "cardState": "SPENT"}


async def test_a_customer_buys_a_card_and_somebody_else_spends_it_by_its_code(salon: Business) -> None:
    """The code is shown to who bought the card, again for a retry; everybody else sees how it ends."""
    await record(salon.owner, "first", "0.00")
    await record(salon.owner, "first of ben", "0.00", customer="ben")
    await adjust(salon.owner, "points", 500)
    product = await salon.manager.do(
        "giftCardProductCreate",
        "giftCardProduct { id }",
        name="Voucher",
        faceValue=money("25.00"),
        purchasableWithPoints=True,
        pointsCost=500,
    )
    anna, ben = await salon.customer("anna"), await salon.customer("ben")
    given = {"product": product["giftCardProduct"]["id"], "idempotencyKey": "mine"}
    bought = await anna.do("giftCardBuy", f"{CARD} code customer {{ points {{ available }} }} replayed", **given)
    assert bought["customer"]["points"]["available"] == 0
    assert bought["giftCard"]["code"] == bought["code"]
    again = await anna.do("giftCardBuy", f"{CARD} code replayed", **given)
    assert (again["code"], again["replayed"]) == (bought["code"], True)
    (refused,) = await anna.refusals("giftCardBuy", **{**given, "idempotencyKey": "another"})
    assert refused["code"] == "INSUFFICIENT_POINTS"
    mine = await anna.get("{ giftCards { nodes { code product { name } } } }")
    assert mine["nodes"] == [{"code": bought["code"], "product": {"name": "Voucher"}}]
    teams = await salon.staff.get("{ giftCards { nodes { code codeEnding } } }")
    assert teams["nodes"] == [{"code": None, "codeEnding": bought["giftCard"]["codeEnding"]}]
    typed = bought["code"].replace("-", " ").lower()
    looked_up = await ben.get(
        "query($code: String!) { giftCardLookup(code: $code) { userErrors { code } giftCard { code spendableAmount "
        "{ amount } } } }",
        code=typed,
    )
    assert looked_up == {
        "userErrors": [],
        "giftCard": {"code": None, "spendableAmount": {"amount": "25.00"}},
    }
    held = await ben.do(
        "giftCardHold",
        "giftCardHold { state } giftCard { spendableAmount { amount } }",
        giftCard={"code": typed},
        amount=money("20.00"),
        idempotencyKey="till",
    )
    assert held["giftCard"]["spendableAmount"] == {"amount": "5.00"}


async def test_a_purchase_tells_what_paid_it_and_contradictions_name_their_field(salon: Business) -> None:
    """A hold is named by its global id; amounts in another currency, other purchases and too much are refused."""
    await salon.manager.do(
        "earningRuleCreate",
        "__typename",
        name="A point per euro",
        award={"perAmount": {"points": 1, "per": money("1.00")}},
    )
    sold = await salon.owner.do("giftCardIssue", CARD, origin="MONEY", amount=money("100.00"), idempotencyKey="sold")

    async def hold(order: str) -> str:
        held = await salon.owner.do(
            "giftCardHold",
            "giftCardHold { id }",
            giftCard={"id": sold["giftCard"]["id"]},
            amount=money("30.00"),
            purchase={"kind": "ORDER", "externalId": order},
            idempotencyKey=order,
        )
        return str(held["giftCardHold"]["id"])

    own, elsewhere = await hold("web-1"), await hold("web-2")
    payments = [
        {"kind": "GIFT_CARD", "amount": money("30.00"), "reference": own},
        {"kind": "GIFT_CARD", "amount": money("10.00"), "reference": "mall-7"},
        {"kind": "MONEY", "amount": money("60.00")},
    ]
    wrong = [
        ({"reference": elsewhere}, "PAYMENT_OF_ANOTHER_PURCHASE", ["payments", "0", "reference"]),
        ({"reference": sold["giftCard"]["id"]}, "PAYMENT_OF_ANOTHER_PURCHASE", ["payments", "0", "reference"]),
        ({"amount": money("30.01")}, "INVALID_INPUT", ["payments", "0", "amount"]),
        ({"amount": money("30.00", "USD")}, "CURRENCY_MISMATCH", ["payments", "0", "amount", "currency"]),
        ({"amount": money("-1.00")}, "INVALID_INPUT", ["payments", "0", "amount"]),
        ({"reference": None, "amount": money("30.01")}, "PAYMENTS_EXCEED_TOTAL", ["payments"]),
    ]
    for change, code, path in wrong:
        told = purchase_of("web-1", "100.00", payments=[payments[0] | change, *payments[1:]])
        (refused,) = await salon.owner.refusals("purchaseRecord", **told)
        assert (refused["code"], refused["path"]) == (code, path)
    selection = "purchase { payments { kind amount { amount } reference } } accrual { points } replayed"
    told = purchase_of("web-1", "100.00", payments=payments)
    recorded = await salon.owner.do("purchaseRecord", selection, **told)
    assert recorded["accrual"]["points"] == 60
    assert [one["reference"] for one in recorded["purchase"]["payments"]] == [own, "mall-7", None]
    assert (await salon.owner.do("purchaseRecord", selection, **told))["replayed"]
    cleared = await salon.owner.do("purchaseRecord", selection, **told | {"payments": None, "idempotencyKey": "anew"})
    assert (cleared["accrual"]["points"], cleared["purchase"]["payments"]) == (70, [])
