"""Another tenant's ids and keys, brought to every argument that takes one, are answered exactly like unknown ones."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import get_named_type
from sqlalchemy import text

from loyalty.services.world import World
from schema.node_ids import decode_id, encode_id
from tests.acceptance.business import Business
from tests.acceptance.client import (
    Caller,
    Json,
    adjust,
    code_of,
    create_rule,
    money,
    mutation,
    newest_cursor,
    record,
)
from tests.acceptance.root_fields import NOWHERE, OPERATIONS, fields_of
from tests.loyalty.services.team import begin_session

UNKNOWN = uuid.UUID("01890000-0000-7000-8000-000000000000")
BASKET: Json = {
    "customer": {"id": "$id"},
    "purchase": {"kind": "ORDER", "externalId": "foreign"},
    "points": 1,
    "subtotal": money("10.00"),
    "idempotencyKey": "foreign",
}

BY_ID: dict[str, tuple[str, str, Json]] = {
    # The type of the id; the document; what goes with it. `$id` and "$id" stand for the id.
    "node(customer)": ("Customer", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(purchase)": ("Purchase", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(accrual)": ("Accrual", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(adjustment)": ("Adjustment", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(entry)": ("LedgerEntry", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(rule)": ("EarningRule", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(card)": ("GiftCard", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(card hold)": ("GiftCardHold", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(card entry)": ("GiftCardEntry", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(gift)": ("GiftCardGift", "query($id: ID!) { node(id: $id) { id } }", {}),
    "giftCard": ("GiftCard", "query($id: ID!) { giftCard(id: $id) { id } }", {}),
    "node(product)": ("GiftCardProduct", "query($id: ID!) { node(id: $id) { id } }", {}),
    "giftCardProduct": ("GiftCardProduct", "query($id: ID!) { giftCardProduct(id: $id) { id } }", {}),
    "node(tier)": ("Tier", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(job)": ("Job", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(hold)": ("Hold", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(redemption)": ("Redemption", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(lot)": ("PointsLot", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(merge)": ("CustomerMerge", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(opening)": ("OpeningBalance", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(token)": ("ApiToken", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(client)": ("OauthClient", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(member)": ("Member", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(role)": ("Role", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(browser session)": ("BrowserSession", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(issuer)": ("OidcIssuer", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(account)": ("PointsAccount", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(catalogue item)": ("CatalogItem", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(tenant)": ("Tenant", "query($id: ID!) { node(id: $id) { id } }", {}),
    "node(program)": ("Program", "query($id: ID!) { node(id: $id) { id } }", {}),
    "nodes": ("Customer", "query($id: ID!) { nodes(ids: [$id]) { id } }", {}),
    "job": ("Job", "query($id: ID!) { job(id: $id) { id } }", {}),
    "adjustment": ("Adjustment", "query($id: ID!) { adjustment(id: $id) { id } }", {}),
    "customer": ("Customer", "query($id: ID!) { customer(by: {id: $id}) { id } }", {}),
    "customerExport": ("Customer", "query($id: ID!) { customerExport(customer: {id: $id}) { hasNextPage } }", {}),
    "purchase": ("Purchase", "query($id: ID!) { purchase(by: {id: $id}) { id } }", {}),
    "customers(tier:)": ("Tier", "query($id: ID!) { customers(tier: $id, having: ANY) { nodes { id } } }", {}),
    "report.activity": (
        "Customer",
        """query($id: ID!) { report(range: {from: "2026-01-01", to: "2099-12-31"}) {
          activity(customer: {id: $id}) { nodes { id } }
        } }""",
        {},
    ),
    "giftCardHold": (
        "GiftCard",
        mutation("giftCardHold", "__typename"),
        {"giftCard": {"id": "$id"}, "amount": money("1.00"), "idempotencyKey": "foreign"},
    ),
    **{
        name: ("GiftCardHold", mutation(name, "__typename"), {"hold": "$id", "idempotencyKey": "foreign"})
        for name in ("giftCardCapture", "giftCardRelease", "giftCardReturn")
    },
    "giftCardExtend": (
        "GiftCard",
        mutation("giftCardExtend", "__typename"),
        {"giftCard": "$id", "expiresOn": "2099-12-31", "reason": "late", "idempotencyKey": "foreign"},
    ),
    "giftCardCancel": (
        "GiftCard",
        mutation("giftCardCancel", "__typename"),
        {"giftCard": "$id", "idempotencyKey": "foreign"},
    ),
    "giftCardGive": (
        "GiftCard",
        mutation("giftCardGive", "__typename"),
        {"giftCard": "$id", "recipientName": "Eva", "idempotencyKey": "foreign"},
    ),
    "giftCardProductUpdate": (
        "GiftCardProduct",
        mutation("giftCardProductUpdate", "__typename"),
        {"id": "$id", "active": False},
    ),
    "giftCardProductArchive": ("GiftCardProduct", mutation("giftCardProductArchive", "__typename"), {"id": "$id"}),
    "earningRuleUpdate": ("EarningRule", mutation("earningRuleUpdate", "__typename"), {"id": "$id", "active": False}),
    "earningRuleDelete": ("EarningRule", mutation("earningRuleDelete", "__typename"), {"id": "$id"}),
    "tierUpdate": ("Tier", mutation("tierUpdate", "__typename"), {"id": "$id", "name": "Taken over"}),
    "tierDelete": ("Tier", mutation("tierDelete", "__typename"), {"id": "$id"}),
    "apiTokenRevoke": ("ApiToken", mutation("apiTokenRevoke", "__typename"), {"id": "$id"}),
    "apiTokenRotate": ("ApiToken", mutation("apiTokenRotate", "__typename"), {"id": "$id"}),
    "memberUpdate": ("Member", mutation("memberUpdate", "__typename"), {"id": "$id", "name": "Taken over"}),
    "memberRemove": ("Member", mutation("memberRemove", "__typename"), {"id": "$id"}),
    "roleUpdate": ("Role", mutation("roleUpdate", "__typename"), {"id": "$id", "name": "Taken over"}),
    "roleDelete": ("Role", mutation("roleDelete", "__typename"), {"id": "$id"}),
    "browserSessionEnd": ("BrowserSession", mutation("browserSessionEnd", "__typename"), {"id": "$id"}),
    "oidcIssuerRemove": ("OidcIssuer", mutation("oidcIssuerRemove", "__typename"), {"id": "$id"}),
    "oauthClientRevoke": ("OauthClient", mutation("oauthClientRevoke", "__typename"), {"id": "$id"}),
    "oauthClientRotateSecret": ("OauthClient", mutation("oauthClientRotateSecret", "__typename"), {"id": "$id"}),
    "pointsAdjust": (
        "Customer",
        mutation("pointsAdjust", "__typename"),
        {"customer": {"id": "$id"}, "idempotencyKey": "foreign", "amount": 5},
    ),
    "customerTokenCreate": ("Customer", mutation("customerTokenCreate", "token"), {"customer": {"id": "$id"}}),
    "signedTokensRevoke": (
        "Customer",
        mutation("signedTokensRevoke", "revokedAt"),
        {"of": {"customer": {"id": "$id"}}},
    ),
    "apiTokenCreate(replaces:)": (
        "ApiToken",
        mutation("apiTokenCreate", "secret"),
        {"name": "Foreign", "permissions": ["LOYALTY_READ"], "replaces": "$id"},
    ),
    "customerMerge(source:)": (
        "Customer",
        mutation("customerMerge", "__typename"),
        {"source": {"id": "$id"}, "target": {"externalId": "emil"}, "idempotencyKey": "foreign"},
    ),
    "customerMerge(target:)": (
        "Customer",
        mutation("customerMerge", "__typename"),
        {"source": {"externalId": "emil"}, "target": {"id": "$id"}, "idempotencyKey": "foreign"},
    ),
    "customerErase": (
        "Customer",
        mutation("customerErase", "__typename"),
        {"customer": {"id": "$id"}, "idempotencyKey": "foreign"},
    ),
    "purchaseRefund": (
        "Purchase",
        mutation("purchaseRefund", "__typename"),
        {"purchase": {"id": "$id"}, "amount": money("1.00"), "idempotencyKey": "foreign"},
    ),
    "purchaseMature": (
        "Purchase",
        mutation("purchaseMature", "__typename"),
        {"purchase": {"id": "$id"}, "idempotencyKey": "foreign"},
    ),
    "redemptionHold(customer:)": ("Customer", mutation("redemptionHold", "__typename"), BASKET),
    "redemptionHold(replaces:)": (
        "Hold",
        mutation("redemptionHold", "__typename"),
        BASKET | {"customer": {"externalId": "emil"}, "replaces": "$id"},
    ),
    "redemptionCapture": (
        "Hold",
        mutation("redemptionCapture", "__typename"),
        {"hold": "$id", "idempotencyKey": "foreign"},
    ),
    "redemptionRelease": (
        "Hold",
        mutation("redemptionRelease", "__typename"),
        {"hold": "$id", "idempotencyKey": "foreign"},
    ),
    "redemptionReturn": (
        "Redemption",
        mutation("redemptionReturn", "__typename"),
        {"redemption": "$id", "idempotencyKey": "foreign"},
    ),
}

TAKES_ID = {"ID": "$id", "CustomerBy": {"id": "$id"}}
"""What brings an id to an argument, by the argument's type."""


def operations_with_ids() -> Iterator[tuple[str, str, Json]]:
    """Yield the operations that take an id and stand in no table: name, document, and variables with "$id"."""
    told = {use.partition("(")[0].partition(".")[0] for use in BY_ID}
    for name, (document, variables) in OPERATIONS.items():
        if name not in told and NOWHERE in repr(variables):
            yield name, document, filled(variables, {NOWHERE: "$id"})
    for name, field in fields_of("Subscription").items():
        for place, argument in field.args.items():
            kind = get_named_type(argument.type).name
            if kind in TAKES_ID:
                brought = [TAKES_ID[kind]] if "[" in str(argument.type) else TAKES_ID[kind]
                document = f"subscription($it: {argument.type}) {{ {name}({place}: $it) {{ __typename }} }}"
                yield f"{name}({place}:)", document, {"it": brought}


BY_KEY: dict[str, tuple[str, Json]] = {
    # "$key" stands for an external id, "$email" for an address that only the other tenant knows.
    "customer by external id": ("query($by: CustomerBy!) { customer(by: $by) { id } }", {"by": {"externalId": "$key"}}),
    "customer by e-mail": ("query($by: CustomerBy!) { customer(by: $by) { id } }", {"by": {"email": "$email"}}),
    "customers(search:)": (
        "query($text: String!) { customers(search: $text, having: ANY) { nodes { id } } }",
        {"text": "$key"},
    ),
    "purchase": (
        "query($by: PurchaseBy!) { purchase(by: $by) { id } }",
        {"by": {"key": {"kind": "ORDER", "externalId": "$key"}}},
    ),
    "report.activity": (
        """query($by: CustomerBy!) { report(range: {from: "2026-01-01", to: "2099-12-31"}) {
          activity(customer: $by) { nodes { id } }
        } }""",
        {"by": {"externalId": "$key"}},
    ),
    "pointsAdjust": (
        mutation("pointsAdjust", "__typename"),
        {"input": {"customer": {"externalId": "$key"}, "idempotencyKey": "foreign", "amount": 5}},
    ),
    "pointsAdjust by e-mail": (
        mutation("pointsAdjust", "__typename"),
        {"input": {"customer": {"email": "$email"}, "idempotencyKey": "foreign", "amount": 5}},
    ),
    "customerMerge from theirs": (
        mutation("customerMerge", "__typename"),
        {"input": {"source": {"externalId": "$key"}, "target": {"externalId": "emil"}, "idempotencyKey": "foreign"}},
    ),
    "customerMerge into theirs": (
        mutation("customerMerge", "__typename"),
        {"input": {"source": {"externalId": "emil"}, "target": {"email": "$email"}, "idempotencyKey": "foreign"}},
    ),
    "customerErase": (
        mutation("customerErase", "__typename"),
        {"input": {"customer": {"externalId": "$key"}, "idempotencyKey": "foreign"}},
    ),
    "customerErase by e-mail": (
        mutation("customerErase", "__typename"),
        {"input": {"customer": {"email": "$email"}, "idempotencyKey": "foreign"}},
    ),
    "customerTierSet": (
        mutation("customerTierSet", "__typename"),
        {"input": {"customer": {"externalId": "$key"}, "tier": None, "idempotencyKey": "foreign"}},
    ),
    "customerTierUnlock": (
        mutation("customerTierUnlock", "__typename"),
        {"input": {"customer": {"externalId": "$key"}}},
    ),
    "customerArchive": (
        mutation("customerArchive", "__typename"),
        {"input": {"customer": {"externalId": "$key"}}},
    ),
    "customerUnarchive": (
        mutation("customerUnarchive", "__typename"),
        {"input": {"customer": {"email": "$email"}}},
    ),
    "customerTokenCreate": (
        mutation("customerTokenCreate", "token"),
        {"input": {"customer": {"externalId": "$key"}}},
    ),
    "signedTokensRevoke": (
        mutation("signedTokensRevoke", "revokedAt"),
        {"input": {"of": {"customer": {"externalId": "$key"}}}},
    ),
    "pointsChanged": (
        "subscription($by: CustomerBy!) { pointsChanged(customer: $by) { cursor } }",
        {"by": {"externalId": "$key"}},
    ),
    "tierUpgraded": (
        "subscription($by: CustomerBy!) { tierUpgraded(customer: $by) { cursor } }",
        {"by": {"email": "$email"}},
    ),
}


def filled(template: Any, values: Json) -> Any:
    """Return a copy of a template with the values put in."""
    if isinstance(template, dict):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return values.get(template, template) if isinstance(template, str) else template


async def ask_by_id(caller: Caller, document: str, given: Json, global_id: str) -> Json:
    """Return the whole answer for one id."""
    variables = {"input": filled(given, {"$id": global_id})} if given else {"id": global_id}
    return await caller.answer(document, **variables)


def is_nothing(answer: Json) -> bool:
    """Tell whether an answer says that there is no such thing."""
    if "errors" in answer:
        return bool(answer["errors"][0]["extensions"]["reason"] == "NOT_FOUND")
    (found,) = answer["data"].values()
    if isinstance(found, dict) and "userErrors" in found:
        return [error["code"] for error in found["userErrors"]] == ["NOT_FOUND"]
    return found in (None, [None], {"nodes": []})


async def everything_once(business: Business) -> dict[str, str]:
    """Let everything happen once that can happen in a tenant. Return the global ids of the results, by type."""
    rule = await create_rule(business.manager, "Ten", 10)
    tier = await business.manager.do(
        "tierCreate", "tier { id } job { id }", name="Silver", color="#C0C0C0", minPoints=5
    )
    product = await business.manager.do(
        "giftCardProductCreate", "giftCardProduct { id }", name="Voucher", faceValue=money("25.00")
    )
    card = await business.manager.do(
        "giftCardIssue",
        "giftCard { id cardEntries { id } }",
        origin="MONEY",
        amount=money("25.00"),
        idempotencyKey="card",
    )
    card_hold = await business.manager.do(
        "giftCardHold",
        "giftCardHold { id }",
        giftCard={"id": card["giftCard"]["id"]},
        amount=money("1.00"),
        idempotencyKey="card hold",
    )
    gift = await business.manager.do(
        "giftCardGive", "gift { id }", giftCard=card["giftCard"]["id"], recipientName="Eva", idempotencyKey="gift"
    )
    token = await business.owner.do("apiTokenCreate", "apiToken { id }", name="Till", permissions=["LOYALTY_READ"])
    provider = await business.owner.do(
        "oidcIssuerSet",
        "oidcIssuer { id }",
        issuer="https://login.example.com",
        audience=business.tenant_id.hex,
        roles=[{"value": "owner", "role": "OWNER"}],
    )
    issuer = decode_id(provider["oidcIssuer"]["id"])
    assert issuer is not None
    assert isinstance(issuer.id, uuid.UUID)
    session_id = await begin_session(World(business.database), business.tenant_id, issuer.id, "eva")
    role = await business.owner.do("roleCreate", "role { id }", name="Till", permissions=["LOYALTY_READ"])
    member = await business.owner.do(
        "memberAdd",
        "member { id }",
        name="Eva",
        person={"email": "eva@salon.example"},
        role={"id": role["role"]["id"]},
    )
    client = await business.owner.do(
        "oauthClientCreate", "oauthClient { id }", name="Partner", permissions=["LOYALTY_READ"]
    )
    key = str(business.tenant_id)
    recorded = await record(business.integration, key, customer={"externalId": key, "email": f"{key}@example.com"})
    adjusted = await adjust(business.manager, "bonus", 1, customer=key)
    await business.manager.do(
        "programUpdate",
        "program { version }",
        redemption={"enabled": True, "pointValue": {"points": 1, "money": money("0.01")}},
    )
    basket = BASKET | {"customer": {"externalId": key}, "idempotencyKey": "basket"}
    basket["purchase"] = {"kind": "ORDER", "externalId": f"basket of {key}"}
    held = await business.integration.do("redemptionHold", "hold { id }", **basket)
    spent = await business.integration.do(
        "redemptionCapture", "redemption { id }", hold=held["hold"]["id"], idempotencyKey="paid"
    )
    opened = await business.manager.do(
        "openingBalancesImport",
        "results { openingBalance { id } }",
        items=[{"customer": {"externalId": name}, "points": 5} for name in ("eva", "emil")],
    )
    merged = await business.manager.do(
        "customerMerge",
        "merge { id }",
        source={"externalId": "eva"},
        target={"externalId": "emil"},
        idempotencyKey="same person",
    )
    async with business.database.tenant_transaction(business.tenant_id) as tx:
        lot = await tx.row(text("SELECT id FROM lots WHERE tenant_id = :current_tenant ORDER BY id LIMIT 1"))
    own_item = {"kind": "SERVICE", "externalId": f"cut of {business.tenant_id}", "name": "Cut"}
    item = await business.manager.do("catalogItemsUpsert", "items { id }", items=[own_item])
    audited = await business.owner.get("{ auditLog(first: 1) { nodes { id } } }")
    found = await business.owner.ask(
        """query($by: CustomerBy!) {
          viewer { tenant { id } } program { id }
          customer(by: $by) { account { id } activity(first: 1) { nodes { id } } }
        }""",
        by={"externalId": key},
    )
    return {
        "Customer": recorded["customer"]["id"],
        "Purchase": recorded["purchase"]["id"],
        "Accrual": recorded["accrual"]["id"],
        "Adjustment": adjusted["adjustment"]["id"],
        "LedgerEntry": found["customer"]["activity"]["nodes"][0]["id"],
        "EarningRule": rule["id"],
        "GiftCard": card["giftCard"]["id"],
        "GiftCardEntry": card["giftCard"]["cardEntries"][0]["id"],
        "GiftCardHold": card_hold["giftCardHold"]["id"],
        "GiftCardGift": gift["gift"]["id"],
        "GiftCardProduct": product["giftCardProduct"]["id"],
        "Tier": tier["tier"]["id"],
        "Job": tier["job"]["id"],
        "Hold": held["hold"]["id"],
        "Redemption": spent["redemption"]["id"],
        "PointsLot": encode_id("PointsLot", lot.id) if lot else "",
        "PointsAccount": found["customer"]["account"]["id"],
        "CatalogItem": item["items"][0]["id"],
        "OpeningBalance": opened["results"][1]["openingBalance"]["id"],
        "CustomerMerge": merged["merge"]["id"],
        "ApiToken": token["apiToken"]["id"],
        "OauthClient": client["oauthClient"]["id"],
        "OidcIssuer": provider["oidcIssuer"]["id"],
        "BrowserSession": encode_id("BrowserSession", session_id),
        "Member": member["member"]["id"],
        "Role": role["role"]["id"],
        "AuditEntry": audited["nodes"][0]["id"],
        "Tenant": found["viewer"]["tenant"]["id"],
        "Program": found["program"]["id"],
    }


async def test_their_ids_are_answered_like_unknown_ones_and_like_nonsense(salon: Business, rival: Business) -> None:
    """The whole answer is compared, for every argument of every root field that takes an id."""
    await everything_once(salon)
    theirs = await everything_once(rival)
    async with salon.unchanged(), rival.unchanged():
        for use, (type_name, document, given) in BY_ID.items():
            foreign = await ask_by_id(salon.owner, document, given, theirs[type_name])
            assert foreign == await ask_by_id(salon.owner, document, given, encode_id(type_name, UNKNOWN)), use
            assert foreign == await ask_by_id(salon.owner, document, given, "no id at all"), use
            assert is_nothing(foreign), (use, foreign)


async def test_their_ids_are_unknown_wherever_an_id_is_taken(salon: Business, rival: Business) -> None:
    """What stands in no table is made from the contract, and is brought an id of every type."""
    theirs = await everything_once(rival)
    taking = list(operations_with_ids())
    assert {"tierUpgraded(tiers:)", "pointsChanged(customer:)"} <= {use for use, _, _ in taking}
    async with salon.unchanged(), rival.unchanged():
        for use, document, variables in taking:
            for type_name, global_id in theirs.items():
                ids = (global_id, encode_id(type_name, UNKNOWN))
                answers = [await salon.owner.answer(document, **filled(variables, {"$id": one})) for one in ids]
                assert answers[0] == answers[1], (use, type_name)
                assert is_nothing(answers[0]), (use, type_name, answers[0])


async def test_our_own_ids_do_lead_somewhere(salon: Business) -> None:
    """So that the test above fails for the tenant and for nothing else: every Node comes back by its id."""
    ours = await everything_once(salon)
    nodes = await salon.owner.get('{ __type(name: "Node") { possibleTypes { name } } }')
    assert {node["name"] for node in nodes["possibleTypes"]} == set(ours)
    for type_name, global_id in ours.items():
        document = "query($id: ID!) { node(id: $id) { __typename id } }"
        assert await salon.owner.get(document, id=global_id) == {"__typename": type_name, "id": global_id}
    several = await salon.owner.get(
        "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=[*ours.values(), "nonsense"]
    )
    assert several == [{"__typename": name, "id": global_id} for name, global_id in ours.items()] + [None]


async def test_their_keys_are_answered_like_unknown_ones(salon: Business, rival: Business) -> None:
    """External ids, e-mail addresses, searches and idempotency keys reach into the caller's own tenant only."""
    await everything_once(salon)
    await everything_once(rival)
    known = str(rival.tenant_id)
    async with salon.unchanged(), rival.unchanged():
        for use, (document, variables) in BY_KEY.items():
            answers = [
                await salon.owner.answer(document, **filled(variables, {"$key": key, "$email": f"{key}@example.com"}))
                for key in (known, str(UNKNOWN))
            ]
            assert answers[0] == answers[1], use
            assert is_nothing(answers[0]), (use, answers[0])


async def test_the_same_keys_live_beside_each_other(salon: Business, rival: Business) -> None:
    """Two tenants with the same external ids and idempotency keys never meet."""
    for business, amount in ((salon, 100), (rival, 7)):
        recorded = await record(business.integration, "order-1")
        assert not recorded["replayed"]
        assert not (await adjust(business.manager, "key-1", amount))["replayed"]
    for business, amount in ((salon, 100), (rival, 7)):
        points = await business.staff.get('{ customer(by: {externalId: "anna"}) { points { available } } }')
        assert points == {"points": {"available": amount}}


LISTS = {
    name: f"query($after: Cursor) {{ {field} {{ nodes {{ id: {key} }} pageInfo {{ endCursor }} }} }}"
    for name, field, key in (
        ("customers", "customers(having: ANY, after: $after)", "id"),
        ("customers by points", "customers(having: ANY, orderBy: POINTS, after: $after)", "id"),
        ("customers by age", "customers(having: ANY, orderBy: NEWEST, after: $after)", "id"),
        ("giftCardProducts", "giftCardProducts(after: $after)", "id"),
        ("earningRules", "earningRules(after: $after)", "id"),
        ("catalogItems", "catalogItems(after: $after)", "name"),
    )
}


async def test_a_cursor_of_another_list_is_refused(salon: Business) -> None:
    """A cursor belongs to its list: in any other it is BAD_USER_INPUT that names the argument, as is a forged one."""
    await create_rule(salon.manager, "Ten", 10)
    await salon.manager.do("giftCardProductCreate", "__typename", name="Voucher", faceValue=money("25.00"))
    await salon.manager.do(
        "catalogItemsUpsert", "__typename", items=[{"kind": "SERVICE", "externalId": "cut", "name": "Cut"}]
    )
    after = await newest_cursor(salon.owner)
    cursors = {name: (await salon.owner.get(document))["pageInfo"]["endCursor"] for name, document in LISTS.items()}
    assert all(cursors.values())
    foreign = {**cursors, "events": after, "forged": "AAAA", "cut short": after[:-2], "nonsense": "x" * 200}
    for name, document in LISTS.items():
        for other, cursor in foreign.items():
            answer = await salon.owner.answer(document, after=cursor)
            if name == other:
                assert "errors" not in answer
            else:
                assert (name, other, code_of(answer)) == (name, other, "BAD_USER_INPUT")
                assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["after"]


async def test_a_cursor_of_another_tenant_is_refused(salon: Business, rival: Business) -> None:
    """A cursor belongs to its tenant, and so does one whose place was changed by hand to nobody."""
    for business in (salon, rival):
        await everything_once(business)
        await business.manager.do(
            "catalogItemsUpsert", "__typename", items=[{"kind": "SERVICE", "externalId": "cut", "name": "Cut"}]
        )
    for document in LISTS.values():
        theirs = (await rival.owner.get(document))["pageInfo"]["endCursor"]
        ours = (await salon.owner.get(document))["pageInfo"]["endCursor"]
        mixed = f"{theirs.split('.')[0]}.{ours.split('.')[1]}"
        for cursor in {theirs, mixed, ours.split(".")[0]} - {ours}:
            answer = await salon.owner.answer(document, after=cursor)
            assert code_of(answer) == "BAD_USER_INPUT"
            assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["after"]


@pytest.mark.parametrize("stream", ["pointsChanged", "tierUpgraded"])
async def test_a_position_that_our_log_has_not_reached_is_refused(
    salon: Business, rival: Business, stream: str
) -> None:
    """The cursor of a longer log, another tenant's, is no place to go on from."""
    theirs = await newest_cursor(rival.owner)
    answer = await salon.owner.answer(
        f"subscription($after: Cursor) {{ {stream}(after: $after) {{ cursor }} }}", after=theirs
    )
    assert code_of(answer) == "BAD_USER_INPUT"
    assert answer["errors"][0]["extensions"]["problems"][0]["path"] == ["after"]
