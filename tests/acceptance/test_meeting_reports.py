"""Reports that meet at a server are answered as if each had come alone, in one order or the other."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, TIER_UPGRADE, Json, create_rule, create_tier, money, purchase_of
from tests.acceptance.conftest import OpenBusiness

ANSWER = f"""
purchase {{ kind externalId status version total {{ amount }} location staff accrual {{ points state }} }}
accrual {{ points state lines {{ outcome points failedCondition ruleName explanation }} }}
customer {{
  externalId fullName email category marketingConsent
  points {{ available pending held debt lifetimeEarned qualifying }} tier {{ name }} tierProgress {{ pointsToNext }}
}}
tierUpgrade {{ {TIER_UPGRADE} }} returns {{ points }}
replayed warnings {{ path message }}
"""


class Pair(NamedTuple):
    """Two reports that meet, and what was reported before them."""

    reports: tuple[Json, Json]
    before: Sequence[Json] = ()


def report(external_id: str = "a", amount: str = "10.00", **facts: Any) -> Json:
    """Return a report of a purchase; what it says of the person stands in `person`."""
    return purchase_of(external_id, amount, customer=facts.pop("person", {}), **{"status": "CREATED", **facts})


def person(**told: Any) -> Json:
    """Return what a report says of its customer."""
    return {"person": told}


def payment(amount: str) -> Json:
    """Return a purchase that was paid with so much money."""
    return {"payments": [{"kind": "MONEY", "amount": money(amount)}]}


EARLY, LATE = {"occurredAt": "2026-01-02T10:00:00Z"}, {"occurredAt": "2026-01-03T10:00:00Z"}
A, B = report("a"), report("b")
PAID, CALLED_OFF = report(status="PAID"), report(status="CANCELLED")
NO_TOTAL = {name: value for name, value in PAID.items() if name != "total"}
DOLLARS = {"total": money("10.00", "USD")}

PAIRS = {
    "first purchases of a new customer": Pair((A, B)),
    "purchases of a known customer": Pair((A, B), [report("known")]),
    "one report twice": Pair((A, A)),
    "one report twice of a known customer": Pair((A, A), [report("known")]),
    "two states": Pair((A, PAID)),
    "two totals": Pair((A, report("a", "20.00"))),
    "two totals of a known purchase": Pair((report("a", "30.00"), report("a", "20.00")), [A]),
    "one key, one report": Pair((report(idempotencyKey="k"), report(idempotencyKey="k"))),
    "one key, two reports": Pair((report(idempotencyKey="k"), report("a", "9.00", idempotencyKey="k"))),
    "one key, two purchases": Pair((report(idempotencyKey="k"), report("b", idempotencyKey="k"))),
    "two keys, one report": Pair((report(idempotencyKey="k"), report(idempotencyKey="l"))),
    "another currency": Pair((A | DOLLARS, B)),
    "a rate of exchange": Pair((A | DOLLARS | {"exchangeRate": "0.5"}, B)),
    "a wrong line": Pair((report(lines=[{"unitPrice": money("1.00"), "discount": money("2.00")}]), B)),
    "no total": Pair((NO_TOTAL, B)),
    "no total for a known purchase": Pair((NO_TOTAL, B), [A]),
    "a customer without an id": Pair((report(person={"externalId": ""}), B)),
    "a purchase without an id": Pair((report(" "), B)),
    "an untidy id": Pair((A, report("a "))),
    "called off": Pair((CALLED_OFF, B), [A]),
    "called off, and new": Pair((CALLED_OFF, A)),
    "called off twice": Pair((CALLED_OFF, report(status="NO_SHOW")), [A]),
    "back to an earlier state": Pair((A, B), [PAID]),
    "payments": Pair((report(**payment("9.00")), report("b", **payment("99.00")))),
    "the first tier": Pair((report("a", "60.00"), report("b", "60.00"))),
    "two tiers": Pair((report("a", "120.00"), report("b", "400.00"))),
    "a tier that is lost": Pair((CALLED_OFF, report("b", "120.00")), [report("a", "120.00")]),
    "two names": Pair((report(**person(fullName="Anna")), report("b", **person(fullName="Ben")))),
    "a name and none": Pair((report(**person(fullName="Anna")), B)),
    "a name taken away": Pair((report(**person(fullName=None)), B), [report("c", **person(fullName="Anna"))]),
    "a consent and its end": Pair(
        (report(**person(marketingConsent=True)), report("b", **person(marketingConsent=False)))
    ),
    "two categories": Pair((report(**person(category="vip")), report("b", **person(category="guest")))),
    "a warning": Pair((report(**person(email="none")), report("b", **person(email="a@example.com")))),
    "an older report": Pair((report(**EARLY), report("a", "9.00", **LATE))),
    "an older name": Pair((report(**EARLY, **person(fullName="Old")), report("b", **LATE, **person(fullName="New")))),
    "a replay": Pair((A, B), [A]),
    "a replay with a name": Pair((report(**person(fullName="Anna")), B), [A]),
    "a time ahead": Pair((report(occurredAt="2099-01-01T00:00:00Z"), B)),
    "little to earn": Pair((report("a", "0.00"), report("b", "0.40"))),
    "two places": Pair((report(location="one"), report(staff="two"))),
    "a text that cannot be stored": Pair((report(location="\0"), B)),
    "too large an amount": Pair((report("a", "9000000000000000.00"), B)),
}
"""What may meet, by what is special about it. All purchases of a pair are of one customer."""


def give_to(given: Json, name: str) -> Json:
    """Return a report of the customer of this pair, with ids that no other pair has."""
    external_id = given["externalId"]
    return {
        **given,
        "externalId": f"{name}: {external_id}" if external_id.strip() else external_id,
        "customer": {"externalId": name, **given["customer"]},
    }


async def tell(business: Business, name: str, given: Json) -> Json:
    """Report a purchase for the customer of a pair; the answer, refusals too."""
    told: Json = await business.integration.mutate("purchaseRecord", ANSWER, **give_to(given, name))
    return told


async def prepare(business: Business) -> None:
    """Set a point per euro, create two tiers, and send the earlier reports of each pair."""
    await create_rule(business.manager, "A point per euro", ONE_PER_EURO)
    for name, points in (("Silver", 100), ("Gold", 500)):
        await create_tier(business.manager, name, points)
    for name, pair in PAIRS.items():
        for given in pair.before:
            await tell(business, name, given)


async def test_reports_that_meet_are_answered_as_if_each_had_come_alone(businesses: OpenBusiness) -> None:
    """Three tenants of the same program: in one everything arrives at once, in the others one by one."""
    crowded, in_order, turned = [await businesses() for _ in range(3)]
    for business in (crowded, in_order, turned):
        await prepare(business)
    sent = [(name, given) for name, pair in PAIRS.items() for given in pair.reports]
    answers = await asyncio.gather(*(tell(crowded, *each) for each in sent))
    told = dict(zip(PAIRS, zip(answers[::2], answers[1::2], strict=True), strict=True))
    for name, (one, other) in ((name, pair.reports) for name, pair in PAIRS.items()):
        expected = (await tell(in_order, name, one), await tell(in_order, name, other))
        if told[name] != expected:
            expected = (await tell(turned, name, other), await tell(turned, name, one))[::-1]
        assert told[name] == expected, name
