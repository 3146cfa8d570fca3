"""Who may do what, through the API: roles, tokens that end, and customers who see only themselves."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from api.issuer import Issuer
from permissions.roles import Role
from tests.acceptance.business import Business
from tests.acceptance.client import (
    POINTS_CHANGED,
    TIER_UPGRADED,
    Caller,
    adjust,
    code_of,
    create_rule,
    create_tier,
    find_customer,
    list_codes,
    newest_cursor,
    record,
)
from tests.acceptance.root_fields import OPERATIONS, fields_of
from tests.acceptance.sockets import open_socket, read_to_the_end, receive, send
from tests.permissions.matrix import listed_operations

A_PURCHASE = (
    'mutation { purchaseRecord(input: {kind: ORDER, externalId: "new", status: COMPLETED, '
    'customer: {externalId: "anna"}, total: {amount: "10.00", currency: "EUR"}}) { replayed } }'
)

STILL_THERE_WHEN_OFF = {
    "viewer",
    "program",
    "programUpdate",
    "programApplyPreset",
    "purchasesRecord",
    "purchaseRefund",
    "node",
    "nodes",
    "apiTokens",
    "tokens",
    "auditLog",
    "apiTokenCreate",
    "apiTokenRevoke",
    "apiTokenRotate",
    "oauthClients",
    "oidcIssuers",
    "oidcIssuerSet",
    "oidcIssuerRemove",
    "browserSessions",
    "browserSessionEnd",
    "members",
    "roles",
    "memberAdd",
    "memberUpdate",
    "memberRemove",
    "roleCreate",
    "roleUpdate",
    "roleDelete",
    "oauthClientCreate",
    "oauthClientRotateSecret",
    "oauthClientRevoke",
    "signedTokensRevoke",
    "featureSet",
    "documentRuleSet",
    "trustedDocuments",
    "trustedDocumentsRegister",
    "trustedDocumentsRemove",
    "allowedOriginsSet",
    "earningRules",
    "earningRuleCreate",
    "earningRuleUpdate",
    "earningRuleDelete",
    "giftCardProducts",
    "giftCardProduct",
    "giftCardProductCreate",
    "giftCardProductUpdate",
    "giftCardProductArchive",
    "tiers",
    "tierCreate",
    "tierUpdate",
    "tierDelete",
    "catalogItems",
    "catalogItem",
    "customersByExternalId",
    "catalogItemsUpsert",
    "job",
    "customers",
    "customer",
    "customerUpsert",
    "customersUpsert",
    "customerArchive",
    "customerUnarchive",
    "customerErase",
    "retention",
    "retentionSet",
    "openingBalancesImport",
}
"""What is there for the team while the program is off: credentials, and whatever prepares the program."""


async def test_the_roots_of_these_tests_are_the_roots_of_the_schema(salon: Business) -> None:
    """A server has the root fields of the checked-in contract, from which these tests are made, and no others."""
    found = await salon.staff.ask(
        """{ __schema {
          queryType { fields(includeDeprecated: true) { name } }
          mutationType { fields { name } } subscriptionType { fields { name } }
        } }"""
    )
    names = {
        kind: {field["name"] for field in found["__schema"][f"{kind}Type"]["fields"]}
        for kind in ("query", "mutation", "subscription")
    }
    assert names == {kind: set(fields_of(kind.capitalize())) for kind in names}
    assert set(listed_operations()) == set().union(*names.values())


async def is_forbidden(caller: Caller, document: str, variables: dict[str, Any]) -> bool:
    """Tell whether the answer is that the caller may not."""
    answer = await caller.answer(document, **variables)
    return any(error["extensions"]["code"] == "FORBIDDEN" for error in answer.get("errors", ()))


async def test_without_a_valid_credential_nothing_answers(salon: Business) -> None:
    """Nothing of a tenant is reachable without a credential of that tenant, and nobody learns why."""
    installation = salon.installation
    claims: dict[str, Any] = {"subject": "x", "tenant_id": salon.tenant_id, "role": Role.OWNER, "name": "x"}
    hour = timedelta(hours=1)
    past = Issuer.from_key_file(installation.folder / "issuer-key.pem", clock=lambda: datetime.now(UTC) - 2 * hour)
    stranger = Issuer.generate(installation.folder / f"{salon.tenant_id}.pem")
    strangers = {
        "nobody": None,
        "expired": past.issue(**claims, lifetime=hour).text,
        "signed by another": stranger.issue(**claims, lifetime=hour).text,
        "a token nobody made": salon.integration.token[:-8] + "AAAAAAAA" if salon.integration.token else None,
        "of a tenant that is none": installation.issuer.issue(
            **{**claims, "tenant_id": "01890000-0000-7000-8000-000000000000"}, lifetime=hour
        ).text,
    }
    async with salon.unchanged():
        for name, token in strangers.items():
            caller = salon.owner._replace(token=token)
            for field, (document, variables) in OPERATIONS.items():
                if name in {"nobody", "expired"} or field in {"viewer", "programUpdate", "pointsChanged"}:
                    answer = await caller.answer(document, **variables)
                    assert code_of(answer) == "UNAUTHENTICATED", (name, field)
                    assert "data" not in answer, (name, field)
            async with open_socket(caller) as socket:
                await read_to_the_end(socket)
                assert socket.close_code == 4403, name


async def test_a_revoked_api_token_is_refused_at_once_and_its_socket_is_closed(salon: Business) -> None:
    """Revoked means revoked, on every server: at once over HTTP, within 5 seconds on an open socket."""
    made = await salon.owner.do(
        "apiTokenCreate", "apiToken { id } secret", name="Till", permissions=["LOYALTY_READ", "PURCHASES_RECORD"]
    )
    till = salon.owner._replace(token=made["secret"])
    first, second = salon.installation.servers
    assert (await till.at(second).get("{ viewer { kind name } }")) == {"kind": "API_TOKEN", "name": "Till"}
    async with open_socket(till.at(second)) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, id="1", type="subscribe", payload={"query": POINTS_CHANGED})
        await salon.owner.do("apiTokenRevoke", "apiToken { revokedAt }", id=made["apiToken"]["id"])
        revoked_at = asyncio.get_running_loop().time()
        for server in (first, second):
            assert code_of(await till.at(server).answer("{ viewer { kind } }")) == "UNAUTHENTICATED"
        await read_to_the_end(socket)
        assert socket.close_code == 4403
        assert asyncio.get_running_loop().time() - revoked_at < 5


async def test_an_api_token_holds_what_it_was_given_and_its_maker_no_more(salon: Business) -> None:
    """A token for reading cannot record; nobody hands out what they do not hold."""
    made = await salon.owner.do("apiTokenCreate", "secret", name="Screen", permissions=["LOYALTY_READ"])
    screen = salon.owner._replace(token=made["secret"])
    assert (await screen.get("{ viewer { permissions } }")) == {"permissions": ["LOYALTY_READ"]}
    assert await is_forbidden(screen, *OPERATIONS["purchaseRecord"])
    refused = await salon.owner.refusals("apiTokenCreate", name="Self", permissions=["SELF_READ"])
    assert [(error["code"], error["path"]) for error in refused] == [("INVALID_INPUT", ["permissions"])]
    shown = await salon.owner.get("{ apiTokens { name permissions createdBy } }")
    assert [token["name"] for token in shown] == ["Screen", "Booking system"]


async def test_a_customer_sees_only_themselves_everywhere(salon: Business) -> None:
    """BK-95, BK-11: node(), look-ups, activity, references and streams show a customer nothing of anybody else."""
    await create_rule(salon.manager, "Internal name", 10)
    await create_tier(salon.manager, "Silver", 5)
    ours = await record(salon.integration, "ours", customer={"externalId": "anna", "email": "anna@example.com"})
    theirs = await record(salon.integration, "theirs", customer={"externalId": "ben", "email": "ben@example.com"})
    mine = await adjust(salon.manager, "for anna", 1, internalNote="she complained", customerDescription="sorry")
    bens = await adjust(salon.manager, "for ben", 1, customer="ben", internalNote="good man")
    (entry,) = (await find_customer(salon.staff, "ben", "activity(first: 1) { nodes { id } }"))["activity"]["nodes"]
    anna = await salon.customer("anna")
    hidden = {
        "customer": theirs["customer"]["id"],
        "purchase": theirs["purchase"]["id"],
        "accrual": theirs["accrual"]["id"],
        "adjustment": bens["adjustment"]["id"],
        "entry": entry["id"],
    }
    for what, hidden_id in hidden.items():
        assert await salon.staff.get("query($id: ID!) { node(id: $id) { id } }", id=hidden_id), what
        assert await anna.get("query($id: ID!) { node(id: $id) { id } }", id=hidden_id) is None, what
    assert await anna.get("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=list(hidden.values())) == [None] * 5
    for by in ({"externalId": "ben"}, {"email": "ben@example.com"}, {"id": theirs["customer"]["id"]}):
        assert await anna.get("query($by: CustomerBy!) { customer(by: $by) { id } }", by=by) is None
    for by in ({"id": theirs["purchase"]["id"]}, {"key": {"kind": "ORDER", "externalId": "theirs"}}):
        assert await anna.get("query($by: PurchaseBy!) { purchase(by: $by) { id } }", by=by) is None
    assert await anna.get("query($id: ID!) { adjustment(id: $id) { id } }", id=bens["adjustment"]["id"]) is None
    seen = await anna.ask(
        """query($id: ID!) {
          me {
            externalId
            activity { nodes { points note reference {
              ... on Purchase { externalId accrual { lines { ruleName explanation } } }
              ... on Adjustment { internalNote customerDescription actor }
            } } }
          }
          tiers { name customerCount }
          adjustment(id: $id) { internalNote customerDescription actor }
        }""",
        id=mine["adjustment"]["id"],
    )
    sorry = {"internalNote": None, "customerDescription": "sorry", "actor": "STAFF"}
    assert seen["me"]["externalId"] == "anna"
    (second, first) = seen["me"]["activity"]["nodes"]
    assert second == {"points": 1, "note": "sorry", "reference": sorry}
    assert first["reference"]["externalId"] == ours["purchase"]["externalId"]
    assert first["reference"]["accrual"]["lines"][0]["ruleName"] is None
    assert "Internal name" not in str(seen)
    assert seen["tiers"] == [{"name": "Silver", "customerCount": None}]
    assert seen["adjustment"] == sorry


async def test_a_customers_streams_tell_of_nobody_else(salon: Business) -> None:
    """BK-95: whatever a customer subscribes to, only their own events come."""
    await create_rule(salon.manager, "Ten", 10)
    await create_tier(salon.manager, "Silver", 15)
    for name in ("anna", "ben"):
        await record(salon.integration, f"first of {name}", customer=name)
    after = await newest_cursor(salon.owner)
    anna = await salon.customer("anna")
    ben_id = (await find_customer(salon.staff, "ben"))["id"]
    async with anna.follow(POINTS_CHANGED, after=after) as points, anna.follow(TIER_UPGRADED, after=after) as tiers:
        for name in ("ben", "anna"):
            await record(salon.integration, f"second of {name}", customer=name)
        assert (await points.next())["entry"]["customer"]["externalId"] == "anna"
        assert (await tiers.next())["customer"]["externalId"] == "anna"
    for document in (POINTS_CHANGED, TIER_UPGRADED):
        for by in ({"id": ben_id}, {"externalId": "ben"}):
            answer = await anna.answer(document, customer=by, after=after)
            assert (code_of(answer), answer["errors"][0]["extensions"]["reason"]) == ("BAD_USER_INPUT", "NOT_FOUND")


async def test_a_program_that_is_off_disables_every_loyalty_field_and_can_be_switched_on_again(salon: Business) -> None:
    """BK-01, BK-70: FEATURE_DISABLED for all but what prepares, no accrual; programUpdate switches it on again."""
    await create_rule(salon.manager, "Ten", 10)
    recorded = await record(salon.integration, "order-1")
    anna = await salon.customer("anna")
    off = await salon.manager.do("programUpdate", "program { enabled version }", enabled=False)
    assert off["program"] == {"enabled": False, "version": 2}
    async with salon.unchanged():
        for field, (document, variables) in OPERATIONS.items():
            answer = await salon.owner.answer(document, **variables)
            codes = list_codes(answer)
            assert ("FEATURE_DISABLED" in codes) == (field not in STILL_THERE_WHEN_OFF), (field, answer)
        assert code_of(await anna.answer("{ me { id } }")) == "FEATURE_DISABLED"
        assert code_of(await salon.integration.answer(A_PURCHASE)) == "FEATURE_DISABLED"
        for field in ("tiers { id }", 'customer(by: {externalId: "anna"}) { id }', "customers { nodes { id } }"):
            answer = await anna.answer(f"{{ {field} }}")
            assert code_of(answer) in {"FEATURE_DISABLED", "FORBIDDEN"}, field
        node = await anna.answer("query($id: ID!) { node(id: $id) { id } }", id=recorded["customer"]["id"])
        assert code_of(node) == "FEATURE_DISABLED"
    on = await salon.manager.do("programUpdate", "program { enabled version }", enabled=True)
    assert on["program"] == {"enabled": True, "version": 3}
    again = await record(salon.integration, "order-2")
    assert again["customer"]["points"]["available"] == 20


async def test_a_mutation_over_a_socket_is_refused(salon: Business) -> None:
    """A client that goes away must not leave half a question whether something happened."""
    async with salon.unchanged(), open_socket(salon.owner) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, id="1", type="subscribe", payload={"query": A_PURCHASE})
        message = await receive(socket)
        assert message["type"] == "error"
