"""What callers leave out, say again, say late, in another order, currency or fraction: a table of right values.

Each neighbour is a list of steps, sent one after another as a partner would, and what must come back. The rules of the
shop are a point per euro; a point takes 10 cents off.
"""

from typing import Any, NamedTuple

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Json, create_rule, money

SELECTIONS = {
    "purchaseRecord": """
        replayed purchase { id version status location startsAt endsAt total { amount } lines { item quantity lineId } }
        accrual { points accrualState } customer { externalId account { available pending debt } }
        holds { state loweredPoints }
        userErrors { code path }
    """,
    "purchaseRefund": """
        refund { points amount { amount } } split { points money { amount } } purchase { status }
        customer { account { available debt } } userErrors { code path }
    """,
    "purchaseReassign": "takenPoints givenPoints userErrors { code path }",
    "redemptionHold": "hold { id points } customer { account { available held } } userErrors { code path }",
    "redemptionCapture": "redemption { id } customer { account { available } } userErrors { code path }",
    "customerMerge": "userErrors { code path }",
    "customerArchive": "userErrors { code path }",
    "customerUpsert": "userErrors { code path }",
    "pointsAdjust": "customer { account { available } } userErrors { code path }",
    "giftCardIssue": "giftCard { id } userErrors { code path }",
    "giftCardHold": "giftCardHold { id } userErrors { code path }",
    "giftCardCapture": "giftCard { balance { amount } } userErrors { code path }",
    "giftCardReturn": "giftCard { balance { amount } } userErrors { code path }",
}
MANAGERS = {"purchaseReassign", "customerMerge", "customerArchive", "customerUpsert", "pointsAdjust"}
AVAILABLE = "customer.account.available"
DEBT = "customer.account.debt"
CODE, PATH = "userErrors.0.code", "userErrors.0.path"


class Step(NamedTuple):
    """One call: the operation, its input, what must come back by path, and what is kept for later steps by name."""

    operation: str
    given: Json
    expected: Json
    keep: Json | None = None


def say(status: str = "PAID", total: str | None = None, *, expect: Json | None = None, **facts: Any) -> Step:
    """Return a report of order-1 by Anna; a currency may stand behind the total."""
    given: Json = {"kind": "ORDER", "externalId": "order-1", "status": status, "customer": {"externalId": "anna"}}
    given |= {} if total is None else {"total": money(*total.split())}
    return Step("purchaseRecord", given | facts, expect or {})


def back(key: str = "back", amount: str | None = None, *, expect: Json | None = None, **details: Any) -> Step:
    """Return a refund of order-1."""
    given: Json = {"purchase": {"key": {"kind": "ORDER", "externalId": "order-1"}}, "idempotencyKey": key}
    given |= {} if amount is None else {"amount": money(*amount.split())}
    return Step("purchaseRefund", given | details, expect or {})


def line(item: str, price: str, **details: Any) -> Json:
    """Return one unit of an item."""
    price, _, currency = price.partition(" ")
    return {"item": item, "unitPrice": money(price, currency or "EUR"), **details}


def hold(points: int, subtotal: str = "100.00", **details: Any) -> Step:
    """Return points of Anna for order-1."""
    given = {
        "customer": {"externalId": "anna"},
        "purchase": {"kind": "ORDER", "externalId": "order-1"},
        "subtotal": money(subtotal),
        "points": points,
        "idempotencyKey": "hold",
    }
    return Step("redemptionHold", given | details, {CODE: None}, {"hold": "hold.id"})


def give(points: int) -> Step:
    """Return points for Anna."""
    given = {"customer": {"externalId": "anna"}, "amount": points, "reason": "OTHER", "idempotencyKey": "given"}
    return Step("pointsAdjust", given, {CODE: None})


ANNA = Step("customerUpsert", {"externalId": "anna", "fullName": "Anna"}, {CODE: None})
BEA = Step("customerUpsert", {"externalId": "bea", "fullName": "Bea"}, {CODE: None})
CAPTURE = Step("redemptionCapture", {"hold": "$hold", "idempotencyKey": "capture"}, {CODE: None})
CARD = (
    Step(
        "giftCardIssue",
        {"origin": "MONEY", "amount": money("30.00"), "customer": {"externalId": "anna"}, "idempotencyKey": "card"},
        {CODE: None},
        {"card": "giftCard.id"},
    ),
    Step(
        "giftCardHold",
        {
            "giftCard": {"id": "$card"},
            "amount": money("30.00"),
            "purchase": {"kind": "ORDER", "externalId": "order-1"},
            "idempotencyKey": "card hold",
        },
        {CODE: None},
        {"card_hold": "giftCardHold.id"},
    ),
    Step("giftCardCapture", {"hold": "$card_hold", "idempotencyKey": "card paid"}, {"giftCard.balance.amount": "0.00"}),
)
MERGE = Step(
    "customerMerge",
    {"source": {"externalId": "anna"}, "target": {"externalId": "bea"}, "idempotencyKey": "one person"},
    {CODE: None},
)
ARCHIVE = Step("customerArchive", {"customer": {"externalId": "anna"}}, {CODE: None})
CUT, OIL = line("cut", "30.00", lineId="L-1"), line("oil", "10.00", lineId="L-2")
REFUSED = "INVALID_INPUT"

NEIGHBOURS: dict[str, tuple[Step, ...]] = {
    "lines sent as null are taken away, and the total goes on earning": (
        say(total="40.00", lines=[CUT, OIL]),
        say("COMPLETED", lines=None, expect={"purchase.lines": [], AVAILABLE: 40}),
        say("COMPLETED", lines=[], expect={"replayed": True}),
    ),
    "a place sent as null and left out afterwards stays unknown": (
        say(total="40.00", location="mitte"),
        say(location=None, expect={"purchase.location": None}),
        say("COMPLETED", expect={"purchase.location": None, AVAILABLE: 40}),
    ),
    "a first report without a total names it": (
        say("PAID", expect={CODE: REFUSED, PATH: ["total"]}),
        say(total="40.00", expect={AVAILABLE: 40}),
    ),
    "zeros and blanks make no new report": (
        say(total="40.00", expect={"purchase.version": 1}),
        say(total="40.0000", externalId=" order-1 ", expect={"replayed": True, "purchase.version": 1}),
        say(total="40.00", customer={"externalId": " anna "}, expect={"replayed": True}),
    ),
    "lines in another order are a replay": (
        say(total="40.00", lines=[CUT, OIL]),
        say(total="40.00", lines=[OIL, CUT], expect={"replayed": True, "purchase.version": 1}),
    ),
    "the same key with other lines is no retry": (
        say(total="40.00", lines=[CUT], idempotencyKey="k"),
        say(total="40.00", lines=[OIL], idempotencyKey="k", expect={CODE: "IDEMPOTENCY_CONFLICT"}),
    ),
    "a line gets its id later, and a refund finds it by that": (
        say(total="40.00", lines=[line("cut", "30.00"), line("oil", "10.00")]),
        say(lines=[OIL, CUT], expect={"purchase.lines.0.item": "cut", "purchase.lines.1.lineId": "L-2"}),
        back(lines=[{"lineId": "L-2", "quantity": 1}], expect={"refund.points": -10, AVAILABLE: 30}),
    ),
    "a line that has lost its id is not found by it": (
        say(total="40.00", lines=[CUT, OIL]),
        say(lines=[line("cut", "30.00"), line("oil", "10.00")], expect={"purchase.lines.1.lineId": None}),
        back(lines=[{"lineId": "L-2", "quantity": 1}], expect={CODE: REFUSED, PATH: ["lines", "0", "lineId"]}),
    ),
    "a thousandth of a unit": (
        say(total="1.00", lines=[line("land", "1000.00", quantity="0.001")], expect={AVAILABLE: 1}),
        back(lines=[{"line": 0, "quantity": "0.001"}], expect={"purchase.status": "REFUNDED", AVAILABLE: 0}),
    ),
    "four decimals of a unit name the line": (
        say(
            total="1.00",
            lines=[CUT, line("land", "1.00", quantity="0.0001")],
            expect={CODE: REFUSED, PATH: ["lines", "1", "quantity"]},
        ),
    ),
    "an hour and a half goes back in three parts, to the cent and to the point": (
        say(total="100.00", lines=[line("massage", "66.6667", quantity="1.5")], expect={CODE: REFUSED}),
        say(total="100.01", lines=[line("massage", "66.67", quantity="1.5")], expect={AVAILABLE: 100}),
        back("1", lines=[{"line": 0, "quantity": "0.5"}], expect={"refund.amount.amount": "33.33", AVAILABLE: 66}),
        back("2", lines=[{"line": 0, "quantity": 0.5}], expect={"refund.amount.amount": "33.34", AVAILABLE: 33}),
        back("3", lines=[{"line": 0, "quantity": "0.500"}], expect={"purchase.status": "REFUNDED", AVAILABLE: 0}),
    ),
    "a refund in the currency of the report": (
        say(total="100.00 CHF", exchangeRate="0.95", expect={AVAILABLE: 95}),
        back(amount="50.00 CHF", expect={"refund.amount.amount": "47.50", AVAILABLE: 47}),
        back("rest", amount="47.50", expect={"purchase.status": "REFUNDED", AVAILABLE: 0}),
    ),
    "a refund in a third currency": (
        say(total="100.00 CHF", exchangeRate="0.95"),
        back(amount="50.00 USD", expect={CODE: "CURRENCY_MISMATCH", PATH: ["amount", "currency"]}),
    ),
    "the frozen rate may be said again, in any spelling, and with nothing else": (
        say(total="100.00 CHF", exchangeRate="0.95"),
        say("COMPLETED", exchangeRate="0.950", expect={AVAILABLE: 95}),
        say("COMPLETED", exchangeRate="0.96", expect={CODE: REFUSED, PATH: ["exchangeRate"]}),
        say("COMPLETED", "200.00 CHF", exchangeRate=None, expect={AVAILABLE: 190}),
    ),
    "a total in the program's currency, and then in the other one again": (
        say(total="100.00 CHF", exchangeRate="0.95"),
        say(total="50.00", expect={AVAILABLE: 50}),
        say("COMPLETED", "100.00 CHF", expect={AVAILABLE: 95}),
    ),
    "a rate for nothing": (say(total="40.00", exchangeRate="0.95", expect={CODE: REFUSED, PATH: ["exchangeRate"]}),),
    "lines in another currency than the total": (
        say(total="40.00", lines=[line("cut", "40.00 CHF")], expect={CODE: "CURRENCY_MISMATCH"}),
    ),
    "cancelled, and then it takes place after all": (
        say(total="100.00", expect={AVAILABLE: 100}),
        say("CANCELLED", expect={AVAILABLE: 0}),
        say("COMPLETED", expect={AVAILABLE: 100, "accrual.accrualState": "AVAILABLE"}),
        say("CANCELLED", expect={CODE: "AMBIGUOUS_REPORT"}),
        say("CANCELLED", idempotencyKey="really", expect={AVAILABLE: 0}),
    ),
    "a no-show that was refunded before": (
        say(total="100.00"),
        back(amount="40.00", expect={AVAILABLE: 60}),
        say("NO_SHOW", expect={AVAILABLE: 0}),
        back("rest", amount="60.00", expect={"refund.points": 0, "purchase.status": "NO_SHOW", AVAILABLE: 0}),
    ),
    "a refund of a purchase that was cancelled": (
        say(total="100.00"),
        say("CANCELLED", expect={AVAILABLE: 0}),
        back(amount="100.00", expect={"refund.points": 0, AVAILABLE: 0, DEBT: 0}),
        back("more", amount="0.01", expect={CODE: "REFUND_EXCEEDS_PURCHASE"}),
    ),
    "the same refund twice, and another one under its key": (
        say(total="100.00"),
        back(amount="40.00", expect={"refund.points": -40}),
        back(amount="40.00", expect={"refund.points": -40, AVAILABLE: 60}),
        back(amount="40.01", expect={CODE: "IDEMPOTENCY_CONFLICT"}),
    ),
    "after a refund the total falls to what was refunded, and below": (
        say(total="100.00"),
        back(amount="40.00"),
        say(total="40.00", expect={AVAILABLE: 0}),
        say(total="39.99", expect={CODE: "REPORT_BELOW_REFUNDS", PATH: ["total"]}),
    ),
    "a refunded line is left out and comes back": (
        say(total="40.00", lines=[CUT, OIL]),
        back(lines=[{"lineId": "L-1", "quantity": 1}], expect={AVAILABLE: 10}),
        say(lines=[OIL], expect={CODE: "REPORT_BELOW_REFUNDS"}),
        say(lines=[OIL, CUT], expect={"replayed": True}),
    ),
    "reports and refunds by the old id of a merged customer": (
        say(total="100.00"),
        BEA,
        MERGE,
        say("COMPLETED", "120.00", expect={"customer.externalId": "bea", AVAILABLE: 120}),
        back(amount="20.00", expect={AVAILABLE: 100}),
    ),
    "a purchase of a merged customer is the target's already": (
        say(total="100.00"),
        BEA,
        MERGE,
        Step(
            "purchaseReassign",
            {
                "purchase": {"key": {"kind": "ORDER", "externalId": "order-1"}},
                "target": {"externalId": "anna"},
                "idempotencyKey": "move",
            },
            {CODE: REFUSED, PATH: ["target"]},
        ),
    ),
    "a customer who was archived buys again": (
        say(total="100.00"),
        ARCHIVE,
        say("COMPLETED", "100.00", externalId="order-2", expect={AVAILABLE: 200}),
    ),
    "a refund after the customer was archived": (
        say(total="100.00"),
        ARCHIVE,
        back(amount="30.00", expect={"refund.points": -30, AVAILABLE: 70}),
    ),
    "paid in part with points: what goes back leaves no trace": (
        ANNA,
        give(300),
        hold(200),
        CAPTURE,
        say(total="100.00", expect={AVAILABLE: 180}),
        back(
            amount="50.00",
            returnPoints="AUTO",
            expect={"split.points": 0, "split.money.amount": "40.00", AVAILABLE: 240},
        ),
        back("rest", amount="50.00", returnPoints="AUTO", expect={AVAILABLE: 300, DEBT: 0}),
    ),
    "paid with points and cancelled": (
        ANNA,
        give(300),
        hold(200),
        CAPTURE,
        say(total="100.00", expect={AVAILABLE: 180}),
        say("CANCELLED", expect={AVAILABLE: 300, DEBT: 0}),
    ),
    "an order that shrinks below what points hold": (
        ANNA,
        give(300),
        hold(300),
        say(total="20.00", expect={"holds.0.loweredPoints": 100, AVAILABLE: 100, "accrual.points": 0}),
    ),
    "a gift card pays a part, which earns nothing": (
        ANNA,
        *CARD,
        say(total="100.00", expect={AVAILABLE: 70}),
        Step(
            "giftCardReturn",
            {"hold": "$card_hold", "amount": money("10.00"), "idempotencyKey": "10 back"},
            {"giftCard.balance.amount": "10.00"},
        ),
        say("COMPLETED", expect={AVAILABLE: 80}),
    ),
    "a gift card and points pay together": (
        ANNA,
        give(300),
        *CARD,
        hold(200),
        CAPTURE,
        say(total="100.00", expect={"accrual.points": 50, AVAILABLE: 150}),
        say("CANCELLED", expect={AVAILABLE: 300, DEBT: 0}),
    ),
    "a start after the end that is known": (
        say(total="40.00", endsAt="2027-03-01T10:00:00Z"),
        say(startsAt="2027-03-01T11:00:00Z", expect={CODE: REFUSED, PATH: ["startsAt"]}),
        say(startsAt="2027-03-01T11:00:00+01:00", expect={"purchase.startsAt": "2027-03-01T10:00:00Z"}),
        say(endsAt=None, startsAt="2027-03-01T11:00:00Z", expect={"purchase.endsAt": None}),
    ),
    "a late report fills in what no newer one has told": (
        say("COMPLETED", "40.00", occurredAt="2026-03-02T10:00:00Z"),
        say(location="mitte", occurredAt="2026-03-01T10:00:00Z", expect={"purchase.status": "COMPLETED"}),
        say(location="nord", occurredAt="2026-02-01T10:00:00Z", expect={CODE: "STATUS_RUNS_BACKWARDS"}),
        say("COMPLETED", occurredAt="2026-03-03T10:00:00Z", expect={"purchase.location": "mitte", AVAILABLE: 40}),
    ),
    "two reports of one moment count in the order of their arrival": (
        say(total="40.00", occurredAt="2026-03-02T10:00:00Z"),
        say(total="50.00", occurredAt="2026-03-02T10:00:00Z", expect={AVAILABLE: 50}),
        say(total="40.00", occurredAt="2026-03-02T10:00:00Z", expect={"replayed": True, AVAILABLE: 50}),
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_a_neighbour_has_its_right_values(salon: Business, name: str) -> None:
    """F-01, F-02, F-07, C-24 to C-28: what was tried on the running product, and its neighbours."""
    await create_rule(salon.manager, "Per euro", ONE_PER_EURO)
    value = {"points": 1, "money": money("0.10")}
    await salon.manager.do("programUpdate", "program { id }", redemption={"enabled": True, "pointValue": value})
    kept: Json = {}
    for number, step in enumerate(NEIGHBOURS[name]):
        caller = salon.manager if step.operation in MANAGERS else salon.integration
        payload = await caller.mutate(step.operation, SELECTIONS[step.operation], **_fill(step.given, kept))
        found = {path: _look(payload, path) for path in step.expected}
        assert (number, found) == (number, step.expected), payload
        if CODE not in step.expected:
            assert not payload["userErrors"], (number, payload)
        kept |= {name: _look(payload, path) for name, path in (step.keep or {}).items()}


def _fill(given: Any, kept: Json) -> Any:
    """Return the input, with what earlier steps kept in place of its names."""
    if isinstance(given, dict):
        return {name: _fill(value, kept) for name, value in given.items()}
    return kept[given[1:]] if isinstance(given, str) and given.startswith("$") else given


def _look(payload: Any, path: str) -> Any:
    """Return what stands at a dotted path; None where nothing does."""
    for name in path.split("."):
        if isinstance(payload, list):
            payload = payload[int(name)] if int(name) < len(payload) else None
        elif payload is not None:
            payload = payload[name]
    return payload
