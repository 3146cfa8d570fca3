"""Two server processes, many clients, few accounts: nobody gets what somebody else has, and nothing is lost."""

import asyncio
import itertools
from collections import Counter
from typing import Any

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Caller, Json, adjust, create_rule, find_customer, money, record
from tests.fixtures.invariants import check_ledger

CLIENTS = 256
POINTS = "points { available pending held debt qualifying }"


def everywhere(salon: Business) -> "itertools.cycle[Caller]":
    """Return the owner as a caller of the first server, and as a caller of the second one."""
    return itertools.cycle([salon.owner.at(server) for server in salon.installation.servers])


def codes(payloads: list[Json]) -> Counter[str]:
    """Return how many calls were answered, and how many were refused with which code."""
    return Counter(payload["userErrors"][0]["code"] if payload["userErrors"] else "done" for payload in payloads)


async def points_of(salon: Business, customer: str = "anna") -> Any:
    """Return where a customer stands."""
    return (await find_customer(salon.staff, customer, POINTS))["points"]


async def test_of_256_clients_who_redeem_10_of_1000_exactly_100_succeed(salon: Business) -> None:
    """F-10: hold and capture over HTTP at two servers; 156 refusals with a type, and nothing is left but nothing."""
    await salon.manager.do("programUpdate", "__typename", redemption={"enabled": True})
    await record(salon.owner, "first", "0.00")
    await adjust(salon.owner, "the thousand", 1_000)
    at_once = asyncio.Semaphore(64)

    async def redeem(number: int, caller: Caller) -> Json:
        async with at_once:
            given = {"customer": {"externalId": "anna"}, "points": 10, "subtotal": money("100.00")}
            given["purchase"] = {"kind": "ORDER", "externalId": f"cart-{number}"}
            held: Json = await caller.mutate("redemptionHold", "hold { id }", idempotencyKey=f"hold-{number}", **given)
            if held["userErrors"]:
                return held
            taken: Json = await caller.mutate(
                "redemptionCapture",
                "redemption { points }",
                hold=held["hold"]["id"],
                idempotencyKey=f"capture-{number}",
            )
            return taken

    callers = everywhere(salon)
    answers = await asyncio.gather(*(redeem(number, next(callers)) for number in range(CLIENTS)))
    assert codes(answers) == {"done": 100, "INSUFFICIENT_POINTS": CLIENTS - 100}
    assert await points_of(salon) == {"available": 0, "pending": 0, "held": 0, "debt": 0, "qualifying": 1_000}


async def test_opposing_adjustments_at_two_servers_cancel_out(salon: Business) -> None:
    """F-10, F-33: what is given here is taken there, each twice with its key; in the end all is as it was."""
    names = ("anna", "ben")
    for name in names:
        await record(salon.owner, f"first of {name}", "0.00", customer=name)
        await adjust(salon.owner, f"begin {name}", 100, customer=name)

    async def move(number: int, caller: Caller) -> None:
        given, taken = names if number % 2 else names[::-1]
        for key, customer, amount in ((f"give-{number}", given, 7), (f"take-{number}", taken, -7)):
            payload = await adjust(caller, key, amount, customer=customer, overdraft="ALLOW_NEGATIVE", qualifying=False)
            assert payload["adjustment"]["points"] == amount

    callers = everywhere(salon)
    # Each pair of neighbours is one move, asked at both servers at once.
    await asyncio.gather(*(move(number // 2, next(callers)) for number in range(80)))
    for name in names:
        assert (await points_of(salon, name))["available"] == 100


async def test_opposing_merges_at_two_servers_leave_one_customer_with_everything(salon: Business) -> None:
    """F-35: each wants to become the other, while both go on earning; one merge wins, no point is lost or doubled."""
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    for round_number in range(5):
        names = (f"anna-{round_number}", f"ben-{round_number}")
        for name in names:
            await record(salon.owner, f"first of {name}", "50.00", customer=name)
        callers = everywhere(salon)
        merges = [
            next(callers).mutate(
                "customerMerge",
                "replayed",
                source={"externalId": source},
                target={"externalId": target},
                idempotencyKey=f"merge-{source}",
            )
            for source, target in (names, names[::-1])
        ]
        purchases = [
            record(next(callers), f"more-{round_number}-{number}", "10.00", customer=names[number % 2])
            for number in range(8)
        ]
        *merged, _ = await asyncio.gather(*merges, asyncio.gather(*purchases))
        assert codes(merged) == {"done": 1, "INVALID_INPUT": 1}
        standing = [await points_of(salon, name) for name in names]
        assert standing[0] == standing[1]
        assert standing[0]["available"] == 180
    await check_ledger(salon.database, salon.tenant_id)
