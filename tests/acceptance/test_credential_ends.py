"""Credentials end: with what made them, when they are revoked, and while their tenant is suspended."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.errors import TenantClosed
from loyalty.services.revocation import revoke_signed_token
from loyalty.services.tenant import close_tenant, entitle_tenant, resume_tenant, suspend_tenant
from loyalty.services.world import World
from permissions.roles import CREDENTIAL_PERMISSIONS, Role
from schema.guard import REQUIRES
from schema.root import Mutation, Query, Subscription
from tenancy.database import Database
from tests.acceptance.business import Business
from tests.acceptance.client import POINTS_CHANGED, Caller, code_of, record
from tests.acceptance.root_fields import OPERATIONS
from tests.acceptance.sockets import open_socket, read_to_the_end, receive, send
from tests.acceptance.test_credentials import is_forbidden

CLOSED_WITHIN_SECONDS = 5
ANNA = {"externalId": "anna"}
WHO = "{ viewer { kind permissions } }"


async def system(salon: Business, *permissions: str) -> tuple[Caller, str]:
    """Create a system with an API token, and return it with the id of the token."""
    made = await salon.owner.do("apiTokenCreate", "apiToken { id } secret", name="App", permissions=permissions)
    return salon.owner._replace(token=made["secret"]), made["apiToken"]["id"]


async def app_of(maker: Caller, **details: Any) -> Caller:
    """Return the caller of Anna's app, with a token that the maker made."""
    made = await maker.do("customerTokenCreate", "token permissions", customer=ANNA, **details)
    return maker._replace(token=made["token"])


async def is_closed_with(caller: Caller, end: Callable[[], Awaitable[object]]) -> tuple[int | None, float]:
    """End the credential of a caller, and return how an open subscription is closed, and after how many seconds."""
    async with open_socket(caller) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, id="1", type="subscribe", payload={"query": POINTS_CHANGED})
        await end()
        ended_at = asyncio.get_running_loop().time()
        await read_to_the_end(socket)
        return socket.close_code, asyncio.get_running_loop().time() - ended_at


@pytest.mark.parametrize("transport", ["request", "socket"])
async def test_a_customer_token_ends_with_the_api_token_that_made_it(salon: Business, transport: str) -> None:
    """It outlived its maker by up to a day, and read and spent."""
    await record(salon.integration, "order-1")
    maker, maker_id = await system(salon, "CUSTOMERS_SIGN_IN", "LOYALTY_READ", "REDEMPTIONS_MANAGE")
    anna = await app_of(maker)
    assert await anna.get(WHO) == {"kind": "CUSTOMER", "permissions": ["SELF_READ", "SELF_REDEEM"]}

    async def end() -> object:
        return await salon.owner.do("apiTokenRevoke", "apiToken { id }", id=maker_id)

    if transport == "socket":
        code, seconds = await is_closed_with(anna, end)
        assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    else:
        await end()
    for server in salon.installation.servers:
        assert code_of(await anna.at(server).answer(WHO)) == "UNAUTHENTICATED"


async def test_a_customer_token_reads_and_spends_only_where_its_maker_may(salon: Business) -> None:
    """Managing tokens makes no customer token; reading customers gives no right to spend."""
    await record(salon.integration, "order-1")
    manages, _ = await system(salon, "TOKENS_MANAGE", "LOYALTY_READ", "REDEMPTIONS_MANAGE")
    document = "mutation($input: CustomerTokenCreateInput!) { customerTokenCreate(input: $input) { token } }"
    assert await is_forbidden(manages, document, {"input": {"customer": ANNA}})
    reads, _ = await system(salon, "CUSTOMERS_SIGN_IN", "LOYALTY_READ")
    anna = await app_of(reads)
    assert await anna.get("{ me { externalId } }") == ANNA
    async with salon.unchanged():
        assert await is_forbidden(anna, *OPERATIONS["redemptionHold"])
    refused = await reads.refusals("customerTokenCreate", customer=ANNA, permissions=["SELF_READ", "SELF_REDEEM"])
    assert [(error["code"], error["path"]) for error in refused] == [("INVALID_INPUT", ["permissions"])]
    only_reads = await app_of(salon.owner, permissions=["SELF_READ"])
    assert await is_forbidden(only_reads, *OPERATIONS["redemptionHold"])
    assert not await is_forbidden(await app_of(salon.owner), *OPERATIONS["redemptionHold"])


async def test_a_server_that_only_signs_customers_in(salon: Business) -> None:
    """Mint, 401, mint again: the loop of an app whose server holds nothing but customers:sign_in."""
    await record(salon.integration, "order-1")
    server, server_id = await system(salon, "CUSTOMERS_SIGN_IN")
    assert (await server.get(WHO)) == {"kind": "API_TOKEN", "permissions": ["CUSTOMERS_SIGN_IN"]}
    anna = await app_of(server)
    assert await anna.get("{ me { externalId account { available } } }") == {**ANNA, "account": {"available": 0}}
    for name in ("customers", "customer", "earningRules", "program"):
        assert await is_forbidden(server, *OPERATIONS[name])
    assert await is_forbidden(anna, *OPERATIONS["redemptionHold"])

    async def end() -> object:
        return await server.do("signedTokensRevoke", "revokedAt", of={"apiToken": server_id})

    code, seconds = await is_closed_with(anna, end)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    for one in salon.installation.servers:
        refused = await anna.at(one).post(orjson.dumps({"query": WHO}))
        assert (refused.status_code, "invalid_token" in refused.headers["www-authenticate"]) == (401, True)
    await asyncio.sleep(1.1)  # signed tokens count whole seconds
    anna = await app_of(server)
    assert (await anna.get(WHO))["kind"] == "CUSTOMER"
    await server.do("signedTokensRevoke", "revokedAt", of={"customer": ANNA})
    assert code_of(await anna.answer(WHO)) == "UNAUTHENTICATED"


async def test_the_end_of_an_api_token_names_what_it_made(salon: Business) -> None:
    maker, maker_id = await system(salon, "TOKENS_MANAGE", "LOYALTY_READ")
    made = await maker.do("apiTokenCreate", "secret", name="Second", permissions=["LOYALTY_READ"])
    second = maker._replace(token=made["secret"])
    assert (await second.get(WHO))["kind"] == "API_TOKEN"
    ended = await salon.owner.do("apiTokenRevoke", "apiToken { name } madeTokens { name revokedAt }", id=maker_id)
    assert [token["name"] for token in ended["madeTokens"]] == ["Second"]
    assert ended["madeTokens"][0]["revokedAt"]
    assert code_of(await second.answer(WHO)) == "UNAUTHENTICATED"


async def test_a_person_is_signed_out_with_every_customer_token_they_made(salon: Business) -> None:
    """Staff tokens live for up to a week, and could not be ended."""
    await record(salon.integration, "order-1")
    away = salon.installation.issuer.issue(
        subject="staff:away", tenant_id=salon.tenant_id, role=Role.OWNER, name="Away", lifetime=timedelta(days=7)
    )
    person = salon.owner._replace(token=away.text)
    anna = await app_of(person)

    async def end() -> object:
        return await salon.owner.do("signedTokensRevoke", "revokedAt", of={"subject": "staff:away"})

    code, seconds = await is_closed_with(person, end)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    for gone in (person, anna):
        assert code_of(await gone.answer(WHO)) == "UNAUTHENTICATED"
    assert (await salon.owner.get(WHO))["kind"] == "STAFF"


async def test_a_customer_is_signed_out_everywhere(salon: Business) -> None:
    await record(salon.integration, "order-1")
    apps = [await app_of(salon.owner) for _ in range(2)]
    await salon.owner.do("signedTokensRevoke", "revokedAt", of={"customer": ANNA})
    for app in apps:
        assert code_of(await app.answer(WHO)) == "UNAUTHENTICATED"


async def test_one_signed_token_is_revoked_and_the_others_of_the_person_are_not(salon: Business) -> None:
    claims: dict[str, Any] = {"subject": "staff:mara", "tenant_id": salon.tenant_id, "role": Role.OWNER, "name": "M"}
    stolen, other = [salon.installation.issuer.issue(**claims, lifetime=timedelta(hours=1)).text for _ in range(2)]
    token_id = salon.installation.issuer.verify(stolen).token_id
    await revoke_signed_token(World(salon.database), salon.tenant_id, token_id, "operator")
    assert code_of(await salon.owner._replace(token=stolen).answer(WHO)) == "UNAUTHENTICATED"
    assert (await salon.owner._replace(token=other).get(WHO))["kind"] == "STAFF"


async def test_every_credential_of_a_suspended_tenant_is_refused_until_it_is_resumed(
    salon: Business, rival: Business, owner_database: Database
) -> None:
    """403 with a reason, on every server; open sockets are closed; the neighbour notices nothing."""
    await record(salon.integration, "order-1")
    callers = [salon.owner, salon.manager, salon.staff, salon.integration, await salon.customer()]
    provisioning = World(owner_database)
    ends = [
        await is_closed_with(caller, lambda: suspend_tenant(provisioning, salon.tenant_id)) for caller in callers[:1]
    ]
    assert [(code, seconds < CLOSED_WITHIN_SECONDS) for code, seconds in ends] == [(4403, True)]
    async with salon.unchanged():
        for caller in callers:
            for server in salon.installation.servers:
                answer = await caller.at(server).answer(WHO)
                (error,) = answer["errors"]
                assert "data" not in answer
                assert error["extensions"] == {"code": "FORBIDDEN", "reason": "TENANT_SUSPENDED"}
        async with open_socket(salon.staff) as socket:
            await read_to_the_end(socket)
            assert (socket.close_code, socket.close_reason) == (4403, "Forbidden: the tenant is suspended")
        response = await salon.owner.post(orjson.dumps({"query": WHO}))
        assert response.status_code == 403
    assert (await rival.owner.get(WHO))["kind"] == "STAFF"
    await resume_tenant(provisioning, salon.tenant_id)
    assert [(await caller.get("{ viewer { kind } }"))["kind"] for caller in callers] == [
        "STAFF",
        "STAFF",
        "STAFF",
        "API_TOKEN",
        "CUSTOMER",
    ]


def always_granted() -> set[str]:
    """Return fields about who is calling and about credentials; `node` asks for the permission of each object."""
    fields = {
        to_camel_case(field.python_name): field.metadata[REQUIRES]
        for root in (Query, Mutation, Subscription)
        for field in get_object_definition(root, strict=True).fields
    }
    about_credentials = {name for name, needed in fields.items() if CREDENTIAL_PERMISSIONS.issuperset(needed)}
    return about_credentials - {"customerTokenCreate"}


def _is_feature_disabled(answer: dict[str, Any]) -> bool:
    """Tell whether the whole operation was refused for the module."""
    return [error["extensions"]["code"] for error in answer.get("errors", ())] == ["FEATURE_DISABLED"]


async def test_without_the_entitlement_everything_but_credentials_is_refused(
    salon: Business, owner_database: Database
) -> None:
    """BK-110: the platform grants the module. The switch of the tenant cannot bring it back, its data stays."""
    await record(salon.integration, "order-1")
    anna = await salon.customer()
    world = World(owner_database)

    async def take_back() -> object:
        return await entitle_tenant(world, salon.tenant_id, loyalty=False)

    code, seconds = await is_closed_with(anna, take_back)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    async with salon.unchanged():
        granted = {
            name
            for name, (document, variables) in OPERATIONS.items()
            if not _is_feature_disabled(await salon.owner.answer(document, **variables))
        }
        assert granted == always_granted()
        for document in (
            "{ program { id } }",
            "mutation { programUpdate(input: {enabled: true}) { userErrors { code } } }",
        ):
            refused = await salon.owner.answer(document)
            assert refused["errors"][0]["extensions"]["reason"] == "NOT_ENTITLED"
    assert (await salon.owner.get("{ viewer { tenant { loyaltyEntitled } } }"))["tenant"] == {"loyaltyEntitled": False}
    assert await salon.owner.get("{ apiTokens { name } }") == [{"name": "Booking system"}]
    await entitle_tenant(world, salon.tenant_id, loyalty=True)
    assert (await anna.get("{ me { externalId } }")) == ANNA


async def test_a_closed_tenant_lets_nobody_in_again(salon: Business, owner_database: Database) -> None:
    await record(salon.integration, "order-1")
    anna = await salon.customer()
    world = World(owner_database)

    async def close() -> object:
        return await close_tenant(world, salon.tenant_id)

    code, seconds = await is_closed_with(anna, close)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    for caller in (salon.owner, salon.integration, anna):
        refused = await caller.answer(WHO)
        assert refused["errors"][0]["extensions"] == {"code": "FORBIDDEN", "reason": "TENANT_CLOSED"}
        async with open_socket(caller) as socket:
            await read_to_the_end(socket)
            assert (socket.close_code, socket.close_reason) == (4403, "Forbidden: the tenant is closed")
    with pytest.raises(TenantClosed):
        await resume_tenant(world, salon.tenant_id)
