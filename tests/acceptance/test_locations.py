"""Members and API tokens that are limited to locations: each operation, with no scope, at the location, and elsewhere.

The tables below are compared with the schema, so an operation that is added later must say here what a scope means
for it.
"""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from permissions.catalog import SCOPED_PERMISSIONS, sort_permissions
from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, code_of, create_rule, find_customer, list_codes, money, purchase_of
from tests.acceptance.root_fields import OPERATIONS, fields_of
from tests.acceptance.test_staff_sign_in import MAPPING, RSA, Stage
from tests.fixtures.provider import Provider, provider_process
from tests.fixtures.server import Installation, ServerProcess
from tests.permissions.matrix import operations

MAIN, BRANCH = "main-street", "branch"
ANNA = {"externalId": "anna"}


class Team(NamedTuple):
    """People with one role, who may do all that can be limited: everywhere, in one salon, in the other, in both."""

    stage: Stage
    everywhere: Caller
    main: Caller
    branch: Caller
    both: Caller

    @property
    def owner(self) -> Caller:
        """Who runs the business."""
        return self.stage.salon.owner.at(self.stage.server)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Provide a provider."""
    with provider_process(tmp_path_factory.mktemp("provider")) as running:
        running.publish(RSA)
        yield running


@pytest.fixture(scope="module")
async def server(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server that may reach providers on this machine."""
    async with installation.serve_apart("locations", {"TREUE_PRIVATE_PROVIDERS": "true"}) as running:
        yield running


@pytest.fixture
async def team(salon: Business, provider: Provider, server: ServerProcess) -> Team:
    """Provide a chain of two salons with its team."""
    owner, audience = salon.owner.at(server), secrets.token_hex(8)
    places = [{"kind": "LOCATION", "externalId": one, "name": one.title()} for one in (MAIN, BRANCH)]
    await owner.do("catalogItemsUpsert", "items { name }", items=places)
    await create_rule(owner, "Ten for each purchase")
    value = {"points": 1, "money": money("0.01")}
    await owner.do("programUpdate", "program { id }", redemption={"enabled": True, "pointValue": value})
    await owner.do("customerUpsert", "customer { id }", **ANNA)
    given = {"issuer": provider.issuer, "audience": audience, "roles": MAPPING}
    made = await owner.do("oidcIssuerSet", "oidcIssuer { id }", **given)
    stage = Stage(salon, provider, server, audience, made["oidcIssuer"]["id"])
    names = [one.name for one in sort_permissions(SCOPED_PERMISSIONS)]
    role = await owner.do("roleCreate", "role { id }", name="Counter", permissions=names, dailyPoints=10_000)
    scopes = {"everywhere": None, "main": [MAIN], "branch": [BRANCH], "both": [MAIN, BRANCH]}
    for name, locations in scopes.items():
        await stage.add_member(name, {"id": role["role"]["id"]}, locations=locations)
    return Team(stage, *(stage.sign_in(name) for name in scopes))


# ── every mutation ───────────────────────────────────────────────────────────────────────────────────────────────


class Named(NamedTuple):
    """A mutation whose input names the location: what else it says, what it shows of it, where a refusal points."""

    given: Callable[[Team], Awaitable[Json]]
    shown: str
    path: tuple[str, ...] = ("location",)


class Following(NamedTuple):
    """A mutation of something that happened at a location before: how that is made, and where a refusal points."""

    given: Callable[[Team], Awaitable[Json]]
    path: tuple[str, ...]


def fresh() -> str:
    """Return an id or a key that nobody has used."""
    return secrets.token_hex(8)


async def order() -> Json:
    """Return a new order of anna."""
    return purchase_of(fresh(), "10.00")


async def points(team: Team, count: int = 100) -> None:
    """Give anna points."""
    await team.owner.do("pointsAdjust", "replayed", customer=ANNA, amount=count, idempotencyKey=fresh())


async def card(team: Team) -> str:
    """Issue a gift card with money, and return its code."""
    sold = await team.owner.do("giftCardIssue", "code", origin="MONEY", amount=money("50.00"), idempotencyKey=fresh())
    return str(sold["code"])


async def give_purchase(_: Team) -> Json:
    return await order()


async def give_adjustment(_: Team) -> Json:
    return {"customer": ANNA, "amount": 5, "idempotencyKey": fresh()}


async def give_hold(team: Team) -> Json:
    """Return the input of a hold, after giving Anna points."""
    await points(team)
    return {
        "customer": ANNA,
        "points": 1,
        "subtotal": money("10.00"),
        "purchase": {"kind": "ORDER", "externalId": fresh()},
        "idempotencyKey": fresh(),
    }


async def give_card_hold(team: Team) -> Json:
    return {"giftCard": {"code": await card(team)}, "amount": money("5.00"), "idempotencyKey": fresh()}


async def hold_there(team: Team) -> str:
    held = await team.everywhere.do("redemptionHold", "hold { id }", **await give_hold(team), location=MAIN)
    return str(held["hold"]["id"])


async def hold_card_there(team: Team) -> str:
    given = await give_card_hold(team)
    held = await team.everywhere.do("giftCardHold", "giftCardHold { id }", **given, location=MAIN)
    return str(held["giftCardHold"]["id"])


async def follow_hold(team: Team) -> Json:
    return {"hold": await hold_there(team), "idempotencyKey": fresh()}


async def follow_redemption(team: Team) -> Json:
    captured = await team.everywhere.do("redemptionCapture", "redemption { id }", **await follow_hold(team))
    return {"redemption": captured["redemption"]["id"], "idempotencyKey": fresh()}


async def follow_card_hold(team: Team) -> Json:
    return {"hold": await hold_card_there(team), "idempotencyKey": fresh()}


async def follow_card_payment(team: Team) -> Json:
    given = await follow_card_hold(team)
    await team.everywhere.do("giftCardCapture", "giftCardHold { id }", **given)
    return {**given, "idempotencyKey": fresh()}


async def follow_purchase(team: Team) -> Json:
    sold = await order() | {"location": MAIN}
    await team.everywhere.do("purchaseRecord", "purchase { id }", **sold)
    named = {"key": {"kind": "ORDER", "externalId": sold["externalId"]}}
    return {"purchase": named, "amount": money("1.00"), "idempotencyKey": fresh()}


NAMED: Mapping[str, Named] = {
    "purchaseRecord": Named(give_purchase, "purchase { shown: location }"),
    "pointsAdjust": Named(give_adjustment, "adjustment { shown: location }"),
    "redemptionHold": Named(give_hold, "hold { shown: location }"),
    "giftCardHold": Named(give_card_hold, "giftCardHold { shown: location }"),
}
FOLLOWING: Mapping[str, Following] = {
    "purchaseRefund": Following(follow_purchase, ("purchase",)),
    "redemptionCapture": Following(follow_hold, ("hold",)),
    "redemptionRelease": Following(follow_hold, ("hold",)),
    "redemptionReturn": Following(follow_redemption, ("redemption",)),
    "giftCardCapture": Following(follow_card_hold, ("hold",)),
    "giftCardRelease": Following(follow_card_hold, ("hold",)),
    "giftCardReturn": Following(follow_card_payment, ("hold",)),
}
IN_A_BATCH = {"purchasesRecord"}
"""What has a test of its own: a batch refuses items."""
OF_THE_CALLER = {"browserSessionEnd"}
"""What is about the credentials of the caller."""
OF_THE_CUSTOMER = {"customerUpsert", "customersUpsert", "customerArchive", "customerUnarchive", "giftCardClaim"}
"""What is about a customer or a card as a whole: it is the same wherever somebody works."""

NARROWED = {"node", "nodes", "purchase", "purchasesByKey", "purchases", "adjustment", "adjustments", "holds"} | {
    "redemptions",
    "report",
}
WHOLE_BUSINESS = {"giftCardReport", "ledgerVerification"}
"""Sums that cannot be narrowed: they are refused."""
SEEN_WHOLE = {
    *("viewer", "me", "browserSessions", "program", "earningRules", "tiers", "catalogItems", "catalogItem", "job"),
    *("customers", "customersByExternalId", "customer", "checkoutQuote", "eventCursor", "events"),
    *("giftCardProducts", "giftCardProduct", "giftCard", "giftCardLookup", "giftCards"),
    *("tierUpgraded", "pointsChanged", "pointsExpiring", "eventLogged"),
}
"""What is of the business, of a customer or of a card as a whole."""

REACHED = {name for name, needed in operations() if not needed or needed & SCOPED_PERMISSIONS}
"""What somebody with all permissions that can be limited reaches."""


def test_every_operation_says_what_a_scope_means_for_it() -> None:
    """An operation of the schema that is missing here fails this test."""
    mutations = {*NAMED, *FOLLOWING, *IN_A_BATCH, *OF_THE_CALLER, *OF_THE_CUSTOMER}
    assert {name for name in REACHED if name in fields_of("Mutation")} == mutations
    reads = [NARROWED, WHOLE_BUSINESS, SEEN_WHOLE]
    assert REACHED - mutations == set().union(*reads)
    assert sum(map(len, reads)) == len(set().union(*reads))


@pytest.mark.parametrize("operation", sorted(NAMED))
async def test_an_operation_happens_at_a_location_of_the_scope(team: Team, operation: str) -> None:
    """It is named, or the only one; another one, or none of several, is refused at its field."""
    case = NAMED[operation]

    async def shown(caller: Caller, **location: Any) -> Any:
        payload = await caller.do(operation, case.shown, **await case.given(team), **location)
        return next(value["shown"] for name, value in payload.items() if name != "userErrors")

    async def refused(caller: Caller, **location: Any) -> Any:
        given = await case.given(team)
        async with team.stage.salon.unchanged():
            (error,) = await caller.refusals(operation, **given, **location)
        return error["code"], tuple(error["path"])

    assert await shown(team.everywhere, location=MAIN) == MAIN
    assert await shown(team.everywhere) is None
    assert await shown(team.main, location=f" {MAIN} ") == MAIN
    assert await shown(team.main) == MAIN
    assert await shown(team.both, location=BRANCH) == BRANCH
    elsewhere = ("INVALID_INPUT", case.path)
    assert await refused(team.branch, location=MAIN) == elsewhere
    assert await refused(team.both) == elsewhere
    assert await refused(team.both, location="nowhere") == elsewhere
    assert await refused(team.everywhere, location=" ") == elsewhere


@pytest.mark.parametrize("operation", sorted(FOLLOWING))
async def test_what_happened_elsewhere_is_not_there(team: Team, operation: str) -> None:
    """Somebody without a scope, and with the location, may go on; somebody else finds nothing."""
    case = FOLLOWING[operation]
    for caller in (team.everywhere, team.main, team.both):
        await caller.do(operation, "__typename", **await case.given(team))
    given = await case.given(team)
    async with team.stage.salon.unchanged():
        (error,) = await team.branch.refusals(operation, **given)
    assert (error["code"], tuple(error["path"])) == ("NOT_FOUND", case.path)


async def test_a_batch_refuses_what_is_recorded_elsewhere(team: Team) -> None:
    """The other items are recorded; a known purchase keeps its location where a report says nothing."""
    known = await order() | {"status": "CONFIRMED"}
    await team.main.do("purchaseRecord", "purchase { id }", **known)
    items = [await order(), await order() | {"location": MAIN}, {**known, "status": "COMPLETED"}]
    sent = [*items, await order() | {"location": None}]
    recorded = await team.branch.do(
        "purchasesRecord", "results { purchase { location } userErrors { code path } }", items=sent
    )
    told = [(one["purchase"] or {}).get("location") for one in recorded["results"]]
    refused = [[(error["code"], error["path"]) for error in one["userErrors"]] for one in recorded["results"]]
    assert told == [BRANCH, None, None, None]
    assert [bool(one) for one in refused] == [False, True, True, True]
    assert [one[0][0] for one in refused[1:]] == ["INVALID_INPUT", "NOT_FOUND", "INVALID_INPUT"]
    assert [one[0][1][-1] for one in refused[1:]] == ["location", "externalId", "location"]
    (kept,) = (await team.both.do("purchasesRecord", "results { purchase { location } }", items=[items[2]]))["results"]
    assert kept["purchase"]["location"] == MAIN


async def test_a_hold_of_elsewhere_cannot_be_replaced(team: Team) -> None:
    """The field that names it is refused."""
    hold_id = await hold_there(team)
    (error,) = await team.branch.refusals("redemptionHold", **await give_hold(team), replaces=hold_id)
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["replaces"])
    await team.main.do("redemptionHold", "hold { id }", **await give_hold(team), replaces=hold_id)


# ── a hold that names no location ────────────────────────────────────────────────────────────────────────────────


class Open(NamedTuple):
    """A hold that names no location: its mutations, and what tells where it was captured."""

    hold: str
    shown: str
    given: Callable[[Team], Awaitable[Json]]
    capture: str
    captured: str
    release: str
    give_back: Callable[[Json], tuple[str, Json]]


OPEN: Mapping[str, Open] = {
    "points": Open(
        "redemptionHold",
        "hold",
        give_hold,
        "redemptionCapture",
        "hold { location } redemption { id location }",
        "redemptionRelease",
        lambda payload: ("redemptionReturn", {"redemption": payload["redemption"]["id"]}),
    ),
    "gift card": Open(
        "giftCardHold",
        "giftCardHold",
        give_card_hold,
        "giftCardCapture",
        "giftCardHold { id location }",
        "giftCardRelease",
        lambda payload: ("giftCardReturn", {"hold": payload["giftCardHold"]["id"]}),
    ),
}


async def open_hold(team: Team, case: Open, caller: Caller | None = None) -> str:
    """Set something aside and name no location; the id of the hold."""
    held = await (caller or team.everywhere).do(case.hold, f"{case.shown} {{ id location }}", **await case.given(team))
    assert held[case.shown]["location"] is None
    return str(held[case.shown]["id"])


@pytest.mark.parametrize("kind", sorted(OPEN))
async def test_a_hold_without_a_location_is_captured_at_every_counter(team: Team, kind: str) -> None:
    """The capture gives it the location of the counter, where it belongs from then on."""
    case = OPEN[kind]
    cases: list[tuple[Caller, Json, str | None, list[Caller]]] = [
        (team.main, {}, MAIN, [team.branch]),
        (team.branch, {}, BRANCH, [team.main]),
        (team.both, {"location": BRANCH}, BRANCH, [team.main]),
        (team.main, {"location": f" {MAIN} "}, MAIN, [team.branch]),
        (team.everywhere, {"location": MAIN}, MAIN, [team.branch]),
        (team.everywhere, {}, None, [team.main, team.branch]),
    ]
    for caller, location, there, others in cases:
        hold = await open_hold(team, case)
        sent = {"hold": hold, "idempotencyKey": fresh(), **location}
        payload = await caller.do(case.capture, f"{case.captured} replayed", **sent)
        again = await caller.do(case.capture, f"{case.captured} replayed", **sent)
        assert again == {**payload, "replayed": True}
        told = [payload[name]["location"] for name in (case.shown, "redemption") if name in payload]
        assert told == [there] * len(told)
        operation, given = case.give_back(payload)
        for elsewhere in others:
            (error,) = await elsewhere.refusals(operation, **given, idempotencyKey=fresh())
            assert error["code"] == "NOT_FOUND"
            seen = await elsewhere.ask("query($id: ID!) { node(id: $id) { id } }", id=hold)
            assert (seen["node"] is None) == (there is not None)
        await (team.both if there else team.everywhere).do(operation, "replayed", **given, idempotencyKey=fresh())


@pytest.mark.parametrize("kind", sorted(OPEN))
async def test_the_location_of_a_capture_is_one_of_the_scope_or_that_of_the_hold(team: Team, kind: str) -> None:
    """Another one is refused at its field, and nothing is captured."""
    case = OPEN[kind]
    hold = await open_hold(team, case)
    refused: list[tuple[Caller, Json]] = [
        *((team.both, {}), (team.both, {"location": "nowhere"}), (team.branch, {"location": MAIN})),
        (team.everywhere, {"location": " "}),
    ]
    for caller, location in refused:
        async with team.stage.salon.unchanged():
            (error,) = await caller.refusals(case.capture, hold=hold, idempotencyKey=fresh(), **location)
        assert (error["code"], error["path"]) == ("INVALID_INPUT", ["location"])
    placed = await team.everywhere.do(case.hold, f"{case.shown} {{ id }}", **await case.given(team), location=MAIN)
    given = {"hold": placed[case.shown]["id"], "idempotencyKey": fresh()}
    for caller in (team.both, team.everywhere):
        async with team.stage.salon.unchanged():
            (error,) = await caller.refusals(case.capture, **given, location=BRANCH)
        assert (error["code"], error["path"]) == ("INVALID_INPUT", ["location"])
    await team.main.do(case.capture, "replayed", **given, location=MAIN)


@pytest.mark.parametrize("kind", sorted(OPEN))
async def test_a_hold_without_a_location_is_released_at_every_counter(team: Team, kind: str) -> None:
    """It is seen there by its id, and names no location afterwards."""
    case = OPEN[kind]
    for caller in (team.main, team.both):
        hold = await open_hold(team, case)
        seen = await caller.ask("query($id: ID!) { node(id: $id) { id } }", id=hold)
        assert seen["node"] == {"id": hold}
        released = await caller.do(
            case.release, f"{case.shown} {{ state location }}", hold=hold, idempotencyKey=fresh()
        )
        assert released[case.shown] == {"state": "RELEASED", "location": None}


async def test_a_hold_of_the_customers_app_is_captured_and_replaced_at_a_counter(team: Team) -> None:
    """The lists of a counter leave it out until it is captured there."""
    case, listed = OPEN["points"], "{ holds { nodes { id } } redemptions { nodes { location } } }"
    customer = (await team.stage.salon.customer()).at(team.stage.server)
    hold = await open_hold(team, case, customer)
    assert (await team.main.ask(listed))["holds"]["nodes"] == []
    await team.main.do(case.capture, "replayed", hold=hold, idempotencyKey=fresh())
    assert await team.main.ask(listed) == {
        "holds": {"nodes": [{"id": hold}]},
        "redemptions": {"nodes": [{"location": MAIN}]},
    }
    assert await team.branch.ask(listed) == {"holds": {"nodes": []}, "redemptions": {"nodes": []}}
    left = await open_hold(team, case, customer)
    placed = await team.branch.do(case.hold, "hold { location }", **await give_hold(team), replaces=left)
    assert placed["hold"] == {"location": BRANCH}


async def test_a_purchase_that_captures_a_hold_gives_it_its_location(team: Team) -> None:
    """Where the hold names none; one that names a location keeps it."""
    for made_at, there in ((None, BRANCH), (MAIN, MAIN)):
        sold = await order()
        given = await give_hold(team) | {"purchase": {"kind": "ORDER", "externalId": sold["externalId"]}}
        await team.everywhere.do("redemptionHold", "hold { id }", **given, captureOn="PAID", location=made_at)
        paying = sold | {"status": "PAID", "location": BRANCH, "customer": ANNA}
        paid = await team.branch.do("purchaseRecord", "redemptions { location }", **paying)
        assert paid["redemptions"] == [{"location": there}]


# ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────

SEEN = """
query($purchase: PurchaseBy!, $keys: [PurchaseKeyInput!]!, $adjustment: ID!, $ids: [ID!]!, $node: ID!) {
  purchase(by: $purchase) { location }
  purchasesByKey(keys: $keys) { location }
  adjustment(id: $adjustment) { location }
  node(id: $node) { id }
  nodes(ids: $ids) { id }
  purchases { totalCount nodes { location } }
  adjustments { totalCount nodes { location } }
  holds { totalCount nodes { location redemption { location } } }
  redemptions { totalCount nodes { location } }
  customer(by: {externalId: "anna"}) {
    account { available } purchases { nodes { location } } holds { nodes { location } }
    redemptions { nodes { location } } activity { totalCount nodes { points reference { __typename } } }
  }
}
"""
REPORT = """
query($range: DateRangeInput!) {
  report(range: $range) {
    pointsEarned pointsRedeemed activeCustomers movements { adjusted }
    daily { eventsBehind days { movements { earned redeemed adjusted } } } activity { totalCount nodes { points } }
  }
}
"""


async def work(team: Team, location: str) -> Json:
    """Make a purchase, an adjustment and a redemption at a location. Return how they are asked for."""
    sold = await order() | {"location": location}
    purchase = await team.everywhere.do("purchaseRecord", "purchase { id } accrual { id }", **sold)
    given = {"customer": ANNA, "amount": 50, "idempotencyKey": fresh(), "location": location}
    adjustment = (await team.everywhere.do("pointsAdjust", "adjustment { id }", **given))["adjustment"]["id"]
    held = {
        "customer": ANNA,
        "points": 20,
        "subtotal": money("100.00"),
        "purchase": {"kind": "ORDER", "externalId": fresh()},
        "idempotencyKey": fresh(),
        "location": location,
    }
    hold = (await team.everywhere.do("redemptionHold", "hold { id }", **held))["hold"]["id"]
    captured = await team.everywhere.do(
        "redemptionCapture", "redemption { id location }", hold=hold, idempotencyKey=fresh()
    )
    assert captured["redemption"]["location"] == location
    key = {"kind": "ORDER", "externalId": sold["externalId"]}
    ids = [purchase["purchase"]["id"], purchase["accrual"]["id"], adjustment, hold, captured["redemption"]["id"]]
    return {"purchase": {"key": key}, "keys": [key], "adjustment": adjustment, "node": ids[0], "ids": ids}


def places(page: Json) -> list[str | None]:
    """Return the locations of a page."""
    return [one["location"] for one in page["nodes"]]


async def test_lists_and_objects_are_narrowed_and_a_customer_is_seen_whole(team: Team) -> None:
    """A list tells what happened at one's own locations; balance and ledger of a customer are those of everywhere."""
    in_main, in_branch = await work(team, MAIN), await work(team, BRANCH)
    await team.everywhere.do("purchaseRecord", "purchase { id }", **await order())
    whole = await team.everywhere.ask(SEEN, **in_main)
    assert sorted(places(whole["purchases"]), key=str) == [None, BRANCH, MAIN]
    for caller, own, other in ((team.main, in_main, in_branch), (team.branch, in_branch, in_main)):
        here = MAIN if caller is team.main else BRANCH
        seen = await caller.ask(SEEN, **own)
        assert seen["purchase"] == {"location": here}
        assert seen["purchasesByKey"] == [{"location": here}]
        assert seen["adjustment"] == {"location": here}
        assert seen["node"] is not None
        assert None not in seen["nodes"]
        for name in ("purchases", "adjustments", "holds", "redemptions"):
            assert (seen[name]["totalCount"], places(seen[name])) == (1, [here]), name
        customer = seen["customer"]
        for name in ("purchases", "holds", "redemptions"):
            assert places(customer[name]) == [here], name
        assert customer["account"] == whole["customer"]["account"]
        assert customer["activity"]["totalCount"] == whole["customer"]["activity"]["totalCount"]
        assert sum(one["reference"] is None for one in customer["activity"]["nodes"]) == 4
        hidden = await caller.ask(SEEN, **other)
        assert (hidden["purchase"], hidden["adjustment"], hidden["node"]) == (None, None, None)
        assert hidden["purchasesByKey"] == [None]
        assert hidden["nodes"] == [None] * len(other["ids"])
    both = await team.both.ask(SEEN, **in_main)
    assert sorted(places(both["purchases"]), key=str) == [BRANCH, MAIN]


async def test_a_report_tells_what_happened_at_the_locations(team: Team) -> None:
    """Sums, days and activity; what happened nowhere counts for the whole business alone."""
    await work(team, MAIN)
    await work(team, BRANCH)
    await work(team, BRANCH)
    await points(team, 7)
    today, a_day = datetime.now(UTC).date(), timedelta(days=1)
    range_ = {"from": str(today - a_day), "to": str(today + a_day)}
    for caller, times in ((team.main, 1), (team.branch, 2), (team.both, 3)):
        report = (await caller.ask(REPORT, range=range_))["report"]
        assert (report["pointsEarned"], report["pointsRedeemed"]) == (10 * times, 20 * times)
        assert (report["movements"], report["activeCustomers"]) == ({"adjusted": 50 * times}, 1)
        assert report["activity"]["totalCount"] == 3 * times
        days = [one["movements"] for one in report["daily"]["days"]]
        summed = {name: sum(one[name] for one in days) for name in ("earned", "redeemed", "adjusted")}
        assert summed == {"earned": 10 * times, "redeemed": 20 * times, "adjusted": 50 * times}
        assert report["daily"]["eventsBehind"] == 0
    whole = (await team.everywhere.ask(REPORT, range=range_))["report"]
    assert whole["movements"] == {"adjusted": 157}


async def test_what_is_about_the_whole_business_is_refused(team: Team) -> None:
    """Sums that cannot be narrowed, and every operation whose permission cannot be limited."""
    for name, (document, variables) in OPERATIONS.items():
        refused = code_of(answer) if (answer := await team.main.answer(document, **variables)).get("errors") else None
        assert ("FORBIDDEN" in list_codes(answer)) == (name not in REACHED or name in WHOLE_BUSINESS), (name, refused)
        everywhere = await team.everywhere.answer(document, **variables)
        assert ("FORBIDDEN" in list_codes(everywhere)) == (name not in REACHED), name


async def test_the_gift_card_is_seen_whole_and_its_holds_are_not(team: Team) -> None:
    """What is left on a card is the same everywhere; which hold took it is told at its location."""
    given = await give_card_hold(team)
    held = await team.main.do("giftCardHold", "giftCardHold { id location } giftCard { id }", **given)
    card_id = held["giftCard"]["id"]
    seen = """query($id: ID!, $hold: ID!) {
      giftCard(id: $id) { spendableAmount { amount } activeHolds { location } } node(id: $hold) { id }
    }"""
    for caller, count in ((team.everywhere, 1), (team.main, 1), (team.branch, 0)):
        found = await caller.ask(seen, id=card_id, hold=held["giftCardHold"]["id"])
        assert found["giftCard"]["spendableAmount"] == {"amount": "45.00"}
        assert found["giftCard"]["activeHolds"] == [{"location": MAIN}] * count
        assert (found["node"] is not None) == bool(count)


# ── who gets which scope ─────────────────────────────────────────────────────────────────────────────────────────


async def test_viewer_and_member_tell_the_scope(team: Team) -> None:
    """A change counts with the next request; null takes the limit away."""
    viewer = "{ viewer { locations member { id locations } } }"
    assert (await team.everywhere.get(viewer))["locations"] is None
    seen = await team.both.get(viewer)
    assert (seen["locations"], seen["member"]["locations"]) == (sorted([MAIN, BRANCH]), [MAIN, BRANCH])
    for locations in ([BRANCH], None, [MAIN]):
        changed = await team.owner.do(
            "memberUpdate", "member { locations }", id=seen["member"]["id"], locations=locations
        )
        assert changed["member"]["locations"] == locations
        assert (await team.both.get(viewer))["locations"] == locations
    await team.owner.do("memberUpdate", "member { id }", id=seen["member"]["id"], name="Somebody")
    assert (await team.both.get(viewer))["locations"] == [MAIN]


async def test_a_scope_goes_with_the_work_at_a_counter_alone(team: Team) -> None:
    """Neither a role nor a token with other permissions is limited; a role of limited members gets no such one."""
    who = {"identity": {"issuer": team.stage.issuer_id, "subject": "mara"}}
    given = {"name": "Mara", "person": who, "role": {"builtIn": "MANAGER"}, "locations": [MAIN]}
    (error,) = await team.owner.refusals("memberAdd", **given)
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["role"])
    for builtin in ("STAFF", "READER"):
        await team.stage.add_member(builtin, {"builtIn": builtin}, locations=[MAIN])
    member = (await team.main.get("{ viewer { member { id role { id } } } }"))["member"]
    (error,) = await team.owner.refusals("memberUpdate", id=member["id"], role={"builtIn": "ADMIN"})
    assert error["path"] == ["role"]
    (error,) = await team.owner.refusals(
        "roleUpdate", id=member["role"]["id"], permissions=["LOYALTY_READ", "AUDIT_READ"], dailyPoints=0
    )
    assert error["path"] == ["permissions"]
    (error,) = await team.owner.refusals(
        "apiTokenCreate", name="Till", permissions=["LOYALTY_READ", "LOYALTY_ADJUST"], locations=[MAIN]
    )
    assert error["path"] == ["permissions"]


@pytest.mark.parametrize(
    ("locations", "path"),
    [([], ["locations"]), (["nowhere"], ["locations", "0"]), ([MAIN, " "], ["locations", "1"])],
)
async def test_a_scope_names_locations_of_the_catalogue(team: Team, locations: list[str], path: list[str]) -> None:
    """An unknown one, a blank one and an empty list are refused, for members and tokens alike."""
    person_ = {"email": f"{fresh()}@salon.example"}
    sent: list[tuple[str, Json]] = [
        ("memberAdd", {"name": "Mara", "person": person_, "role": {"builtIn": "STAFF"}}),
        ("memberUpdate", {"id": (await team.main.get("{ viewer { member { id } } }"))["member"]["id"]}),
        ("apiTokenCreate", {"name": "Till", "permissions": ["LOYALTY_READ"]}),
    ]
    for operation, given in sent:
        (error,) = await team.owner.refusals(operation, **given, locations=locations)
        assert (error["code"], error["path"]) == ("INVALID_INPUT", path), operation


async def test_a_location_stays_while_somebody_is_limited_to_it(team: Team) -> None:
    """Renaming it is fine; to remove it, change the scopes first."""
    key = {"kind": "LOCATION", "externalId": BRANCH}
    (error,) = await team.owner.refusals("catalogItemsUpsert", remove=[{**key, "externalId": "nowhere"}, key])
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["remove", "1"])
    await team.owner.do("catalogItemsUpsert", "items { name }", items=[{**key, "name": "Hill"}], remove=[key])
    for caller in (team.branch, team.both):
        member = (await caller.get("{ viewer { member { id } } }"))["member"]["id"]
        await team.owner.do("memberUpdate", "member { id }", id=member, locations=[MAIN])
    await team.owner.do("catalogItemsUpsert", "items { name }", remove=[key])


async def test_a_token_is_limited_and_ends_when_who_knows_it_is_limited(team: Team) -> None:
    """A token keeps to its locations; a member whose scope becomes narrower knows no wider one afterwards."""
    names = ["LOYALTY_READ", "PURCHASES_RECORD", "TOKENS_MANAGE"]
    role = await team.owner.do("roleCreate", "role { id }", name="Keeper", permissions=names)
    member = await team.stage.add_member("keeper", {"id": role["role"]["id"]})
    keeper = team.stage.sign_in("keeper")
    narrow = {"name": "Till", "permissions": ["LOYALTY_READ", "PURCHASES_RECORD"], "locations": [MAIN]}
    made = await keeper.do("apiTokenCreate", "secret apiToken { id locations }", **narrow)
    assert made["apiToken"]["locations"] == [MAIN]
    wide = await keeper.do("apiTokenCreate", "apiToken { id }", **{**narrow, "locations": None})
    till = team.owner._replace(token=made["secret"])
    recorded = await till.do("purchaseRecord", "purchase { location }", **await order())
    assert recorded["purchase"] == {"location": MAIN}
    changed = await team.owner.do(
        "memberUpdate", "endedApiTokens { id }", id=member, role={"builtIn": "STAFF"}, locations=[MAIN]
    )
    assert changed["endedApiTokens"] == [{"id": wide["apiToken"]["id"]}]
    assert (await till.get("{ viewer { locations } }"))["locations"] == [MAIN]


REPEATED: list[tuple[list[str], str]] = [
    ([MAIN, MAIN], "1"),
    ([MAIN, f" {MAIN}"], "1"),
    ([MAIN, BRANCH, f"{MAIN} "], "2"),
]


@pytest.mark.parametrize(("locations", "place"), REPEATED)
async def test_a_location_is_named_once(team: Team, locations: list[str], place: str) -> None:
    """Blanks make no difference. The path counts what was sent."""
    member = (await team.main.get("{ viewer { member { id } } }"))["member"]["id"]
    someone = {"name": "Eva", "person": {"email": f"{fresh()}@salon.example"}, "role": {"builtIn": "STAFF"}}
    token = {"name": "Till", "permissions": ["LOYALTY_READ"]}
    calls = {"memberAdd": someone, "memberUpdate": {"id": member}, "apiTokenCreate": token}
    async with team.stage.salon.unchanged():
        for operation, given in calls.items():
            (error,) = await team.owner.refusals(operation, **given, locations=locations)
            assert (error["code"], error["path"]) == ("INVALID_INPUT", ["locations", place]), operation
            assert "must be named once" in error["message"]


async def test_a_retry_with_blanks_is_a_replay(team: Team) -> None:
    """The id of a location is the same with blanks round it, so the request is the same."""
    given = {"name": "Till", "permissions": ["LOYALTY_READ"], "idempotencyKey": fresh()}
    shown = "replayed apiToken { id locations }"
    first = await team.owner.do("apiTokenCreate", shown, **given, locations=[MAIN, BRANCH])
    again = await team.owner.do("apiTokenCreate", shown, **given, locations=[f" {MAIN}", f"{BRANCH} "])
    assert (first["replayed"], again) == (False, {**again, "replayed": True, "apiToken": first["apiToken"]})
    (error,) = await team.owner.refusals("apiTokenCreate", **given, locations=[BRANCH])
    assert error["code"] == "IDEMPOTENCY_CONFLICT"


async def test_the_audit_log_tells_of_a_scope(team: Team) -> None:
    """Who was limited, to what, and by whom."""
    member = (await team.main.get("{ viewer { member { id } } }"))["member"]["id"]
    await team.owner.do("memberUpdate", "member { id }", id=member, locations=[BRANCH])
    entry = (await team.owner.get("{ auditLog(first: 1) { nodes { changes { field before after } } } }"))["nodes"][0]
    told = {one["field"]: [json.loads(one[when]) for when in ("before", "after")] for one in entry["changes"]}
    assert told["locations"] == [[MAIN], [BRANCH]]


async def test_a_balance_is_the_same_wherever_it_is_read(team: Team) -> None:
    """Points that were earned in one salon can be spent in the other."""
    await team.main.do("purchaseRecord", "purchase { id }", **await order())
    found = await find_customer(team.branch)
    assert found["points"]["available"] == 10
    held = await give_hold(team)
    await team.branch.do("redemptionHold", "hold { id }", **held)
