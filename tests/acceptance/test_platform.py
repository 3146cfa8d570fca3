"""The platform's API as a process of its own: who may call it, what it does, and what it can never do."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import orjson
import pytest

from api.platform import MAX_REFUSED_TOKENS
from api.tokens import make_token
from tests.acceptance.business import Business
from tests.acceptance.client import code_of
from tests.acceptance.conftest import OpenBusiness
from tests.acceptance.test_credential_ends import CLOSED_WITHIN_SECONDS, is_closed_with
from tests.fixtures.server import HOST, Installation, TreueProcess, free_port

GENEROUS_SECONDS = 60
TENANTS = "{ tenants(first: 1) { nodes { id } } }"
CREATE = """
mutation($input: TenantsCreateInput!) {
  tenantsCreate(input: $input) {
    userErrors { code path }
    results { userErrors { code path message } replayed tenant { id externalId name state loyaltyEntitled } }
  }
}
"""
CHANGED = "userErrors { code path } tenant { id state loyaltyEntitled budget { points perSecond } }"


class Platform(NamedTuple):
    """Somebody with a credential of the platform, at its own server."""

    url: str
    token: str | None
    command: list[str]
    environment: dict[str, str]

    async def send(self, document: str, variables: Any = None, **headers: str) -> httpx2.Response:
        """Ask, and return the whole answer."""
        given = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS) as http:
            return await http.post(
                self.url, json={"query": document, "variables": variables or {}}, headers=given | headers
            )

    async def ask(self, document: str, **variables: Any) -> Any:
        """Ask, and return the content of the only root field. Any error fails the test."""
        body = (await self.send(document, variables)).json()
        assert "errors" not in body, body
        (value,) = body["data"].values()
        return value

    async def change(self, operation: str, kind: str, **given: Any) -> Any:
        """Change one tenant."""
        return await self.ask(
            f"mutation($input: {kind}!) {{ {operation}(input: $input) {{ {CHANGED} }} }}", input=given
        )

    def run(self, *arguments: str) -> str:
        """Run a command, and return its output."""
        done = subprocess.run(
            [*self.command, *arguments], env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
async def platform(installation: Installation) -> AsyncIterator[Platform]:
    """Provide a server of the platform, and a credential that the command made."""
    environment, port = installation.environment_with(None), free_port()
    arguments = ("platform", "serve", "--host", HOST, "--port", str(port))
    process = TreueProcess(arguments, environment, installation.folder / "platform.log")
    process.start()
    command = [sys.executable, "-m", "cli.main"]
    caller = Platform(f"http://{HOST}:{port}/graphql", None, command, environment)

    try:
        await process.wait_until_ready(port)
        yield caller._replace(token=caller.run("platform", "token", "create", "--name", "Onboarding"))
    finally:
        process.stop()


def wanted(external_id: str, **details: Any) -> dict[str, Any]:
    """Return a tenant to create."""
    return {"externalId": external_id, "name": "Salon", "currency": "EUR", "timeZone": "Europe/Berlin"} | details


async def test_tenants_are_created_once_for_each_external_id(platform: Platform) -> None:
    """A wrong one harms no other, a retry makes nothing new, and other details are a conflict."""
    asked = [wanted("a-1"), wanted("a-2", currency="EURO", timeZone="Mars"), wanted("a-1"), wanted("a-3", name="Spa")]
    first = await platform.ask(CREATE, input={"tenants": asked})
    assert first["userErrors"] == []
    made, wrong, again, spa = first["results"]
    assert [error["path"] for error in wrong["userErrors"]] == [
        ["tenants", "1", "currency"],
        ["tenants", "1", "timeZone"],
    ]
    assert wrong["tenant"] is None
    assert made["tenant"] == again["tenant"]
    assert sorted((made["replayed"], again["replayed"])) == [False, True]
    assert (spa["tenant"]["name"], spa["tenant"]["state"], spa["tenant"]["loyaltyEntitled"]) == ("Spa", "ACTIVE", True)

    (replayed,) = (await platform.ask(CREATE, input={"tenants": [wanted("a-3", name="Spa")]}))["results"]
    assert (replayed["replayed"], replayed["tenant"]) == (True, spa["tenant"])
    (tidied,) = (await platform.ask(CREATE, input={"tenants": [wanted(" a-3 ", name="Spa")]}))["results"]
    assert (tidied["replayed"], tidied["tenant"]) == (True, spa["tenant"]), "blanks round an id do not count"
    (other,) = (await platform.ask(CREATE, input={"tenants": [wanted("a-3", name="Another")]}))["results"]
    assert [(error["code"], error["path"]) for error in other["userErrors"]] == [
        ("IDEMPOTENCY_CONFLICT", ["tenants", "0", "externalId"])
    ]
    found = await platform.ask('{ tenant(by: {externalId: "a-3"}) { id name } }')
    assert found == {"id": spa["tenant"]["id"], "name": "Spa"}


async def test_a_name_that_cannot_be_stored_refuses_its_own_tenant_alone(platform: Platform) -> None:
    first, last = wanted("named-1"), wanted("named-3")
    given = [first, wanted("named-2", name="a\0b"), last]
    results = (await platform.ask(CREATE, input={"tenants": given}))["results"]
    assert [[error["path"] for error in one["userErrors"]] for one in results] == [
        [],
        [["tenants", "1", "name"]],
        [],
    ]
    assert [one["tenant"] and one["tenant"]["externalId"] for one in results] == [
        first["externalId"],
        None,
        last["externalId"],
    ]


async def test_a_thousand_tenants_are_created_in_one_call_and_a_page_at_a_time_listed(platform: Platform) -> None:
    """Twice at the same time, as a client that lost its patience sends it: each exists once."""
    asked = [wanted(f"bulk-{number}") for number in range(1_000)]
    both = await asyncio.gather(*(platform.ask(CREATE, input={"tenants": asked}) for _ in range(2)))
    ids = [[result["tenant"]["id"] for result in one["results"]] for one in both]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 1_000
    replays = [sum(result["replayed"] for result in one["results"]) for one in both]
    assert sum(replays) == 1_000
    listed: list[str] = []
    after = None
    while True:
        page = await platform.ask(
            "query($after: Cursor) { tenants(first: 100, after: $after) "
            "{ nodes { id } totalCount pageInfo { hasNextPage endCursor } } }",
            after=after,
        )
        listed += [one["id"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(listed) == len(set(listed)) == page["totalCount"]
    assert set(ids[0]) <= set(listed)
    refused = await platform.ask(CREATE, input={"tenants": [wanted("x")] * 1_001})
    assert [(error["code"], error["path"]) for error in refused["userErrors"]] == [("INVALID_INPUT", ["tenants"])]


async def test_a_suspension_closes_sockets_and_a_resumption_opens_again(salon: Business, platform: Platform) -> None:
    """Within 5 seconds; the tenant reads in its audit log who did it."""
    tenant = str(salon.tenant_id)

    async def suspend() -> object:
        return await platform.change("tenantSuspend", "TenantInput", id=tenant)

    code, seconds = await is_closed_with(salon.owner, suspend)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    assert (await salon.owner.answer("{ viewer { kind } }"))["errors"][0]["extensions"]["reason"] == "TENANT_SUSPENDED"
    resumed = await platform.change("tenantResume", "TenantInput", id=tenant)
    assert (resumed["userErrors"], resumed["tenant"]["state"]) == ([], "ACTIVE")
    entries = await salon.owner.get(
        "{ auditLog(filter: {subjects: [TENANT]}) "
        "{ nodes { actor actorKind actorSubject changes { field before after } } } }"
    )
    newest, oldest = entries["nodes"]
    assert (newest["actor"], newest["actorKind"]) == ("Onboarding", "PLATFORM")
    assert newest["actorSubject"].startswith("platform:")
    assert newest["changes"] == [{"field": "state", "before": '"SUSPENDED"', "after": '"ACTIVE"'}]
    assert oldest["changes"] == [{"field": "state", "before": '"ACTIVE"', "after": '"SUSPENDED"'}]
    actions = await platform.ask(
        "query($id: ID) { actions(tenantId: $id) { totalCount nodes { kind actor tenantId } } }", id=tenant
    )
    assert [one["kind"] for one in actions["nodes"]][:2] == ["TENANT_RESUMED", "TENANT_SUSPENDED"]
    assert {one["tenantId"] for one in actions["nodes"]} == {tenant}
    assert actions["totalCount"] == len(actions["nodes"])


async def test_the_module_and_the_budget_are_given_and_taken(salon: Business, platform: Platform) -> None:
    """The tenant's own switch stays; what changes nothing is not noted."""
    tenant = str(salon.tenant_id)
    taken = await platform.change("tenantEntitle", "TenantEntitleInput", id=tenant, loyalty=False)
    assert taken["tenant"]["loyaltyEntitled"] is False
    assert code_of(await salon.owner.answer("{ program { enabled } }")) == "FEATURE_DISABLED"
    for _ in range(2):
        await platform.change("tenantEntitle", "TenantEntitleInput", id=tenant, loyalty=True)
    assert await salon.owner.get("{ program { enabled } }") == {"enabled": True}
    limited = await platform.change("tenantLimit", "TenantLimitInput", id=tenant, points=50_000, perSecond=900)
    assert limited["tenant"]["budget"] == {"points": 50_000, "perSecond": 900}
    for wrong, path in (({"points": 1, "perSecond": 900}, "points"), ({"points": 50_000}, "perSecond")):
        refused = await platform.change(
            "tenantLimit", "TenantLimitInput", **({"id": tenant, "points": None, "perSecond": None} | wrong)
        )
        assert [(error["code"], error["path"]) for error in refused["userErrors"]] == [("INVALID_INPUT", [path])]
    usual = await platform.change("tenantLimit", "TenantLimitInput", id=tenant, points=None, perSecond=None)
    assert usual["tenant"]["budget"] is None
    log = await salon.owner.get("{ auditLog(filter: {subjects: [TENANT]}) { nodes { changes { field } } } }")
    fields = [[change["field"] for change in entry["changes"]] for entry in log["nodes"]]
    budget = ["budgetPerSecond", "budgetPoints"]
    assert fields == [budget, budget, ["loyaltyEntitled"], ["loyaltyEntitled"]]


async def test_a_tenant_that_is_closed_stays_so(businesses: OpenBusiness, platform: Platform) -> None:
    tenant = str((await businesses()).tenant_id)
    for _ in range(2):
        closed = await platform.change("tenantClose", "TenantInput", id=tenant)
        assert (closed["userErrors"], closed["tenant"]["state"]) == ([], "CLOSED")
    for operation in ("tenantResume", "tenantSuspend"):
        refused = await platform.change(operation, "TenantInput", id=tenant)
        assert [(error["code"], error["path"]) for error in refused["userErrors"]] == [("INVALID_INPUT", ["id"])]
    for unknown in ("01890000-0000-7000-8000-000000000000", "no id", ""):
        refused = await platform.change("tenantClose", "TenantInput", id=unknown)
        assert [(error["code"], error["path"]) for error in refused["userErrors"]] == [("NOT_FOUND", ["id"])]


async def test_no_credential_works_at_the_other_address(salon: Business, platform: Platform) -> None:
    """One of the platform at a server of tenants, those of a tenant at the platform: 401, whatever is asked."""
    outside = salon.owner._replace(token=platform.token)
    for server in salon.installation.servers:
        assert code_of(await outside.at(server).answer("{ viewer { kind } }")) == "UNAUTHENTICATED"
    made = await salon.owner.do("apiTokenCreate", "secret", name="App", permissions=["LOYALTY_READ"])
    await salon.owner.do("customerUpsert", "customer { id }", externalId="anna")
    anna = await salon.customer()
    for token in (salon.owner.token, made["secret"], anna.token, None, "x"):
        answer = await platform._replace(token=token).send(TENANTS)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")


async def test_a_credential_ends_at_once_and_is_kept_as_a_hash(platform: Platform) -> None:
    """By its id and by its text; both are told in the log of the platform."""
    text = platform.run("platform", "token", "create", "--name", "Short", "--days", "1")
    short = platform._replace(token=text)
    await short.ask(TENANTS)
    row = next(line for line in platform.run("platform", "token", "list").splitlines() if "  Short  " in line)
    assert "used " in row
    assert text not in row
    platform.run("platform", "token", "revoke", text)
    assert (await short.send(TENANTS)).status_code == 401
    row = next(line for line in platform.run("platform", "token", "list").splitlines() if "  Short  " in line)
    assert "REVOKED" in row
    actions = await platform.ask("{ actions(first: 2) { nodes { kind subjectName actor tenantId } } }")
    assert [(one["kind"], one["subjectName"], one["actor"], one["tenantId"]) for one in actions["nodes"]] == [
        ("TOKEN_REVOKED", "Short", "Operator", None),
        ("TOKEN_CREATED", "Short", "Operator", None),
    ]


async def test_pages_streams_and_sockets_are_refused(platform: Platform) -> None:
    """The platform's API is for servers: a page of a browser cannot use a credential that it got hold of."""
    page = await platform.send(TENANTS, Origin="https://evil.example")
    assert (page.status_code, page.json()["errors"][0]["extensions"]["reason"]) == (403, "ORIGIN_NOT_ALLOWED")
    assert "access-control-allow-origin" not in page.headers
    stream = await platform.send(TENANTS, Accept="text/event-stream")
    assert stream.status_code == 400
    async with httpx2.AsyncClient() as http:
        assert (await http.get(platform.url)).status_code == 405


async def test_data_of_tenants_is_not_in_the_schema_of_the_platform(platform: Platform) -> None:
    """No type of it leads to a customer, a balance or a purchase."""
    types = await platform.ask("{ __schema { types { name fields { name } } } }")
    names = {one["name"] for one in types["types"]}
    fields = {field["name"] for one in types["types"] for field in one["fields"] or ()}
    assert names.isdisjoint({"Customer", "PointsAccount", "Purchase", "LedgerEntry", "Node", "Viewer", "Program"})
    assert fields.isdisjoint({"customer", "customers", "purchases", "account", "viewer", "program"})


async def test_guessing_is_limited_by_address(installation: Installation, platform: Platform) -> None:
    """The last test of this file that needs its server: a right credential from there has to wait, too."""
    answers = [
        await platform._replace(token=make_token("platform").text).send(TENANTS) for _ in range(MAX_REFUSED_TOKENS + 1)
    ]
    answer = answers[-1]
    assert {one.status_code for one in answers} == {401, 429}
    assert answer.status_code == 429
    assert answer.json()["errors"][0]["extensions"]["reason"] == "TOO_MANY_WRONG_TOKENS"
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    assert (await platform.send(TENANTS)).status_code == 429
    log = (installation.folder / "platform.log").read_text()
    assert platform.token is not None
    assert platform.token not in log


async def test_an_export_holds_every_row_and_no_secret(
    salon: Business, rival: Business, platform: Platform, tmp_path: Path
) -> None:
    """A file for its owner only, which is not overwritten; the other tenant is not in it."""
    for business in (salon, rival):
        await business.owner.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna Export")
    file = tmp_path / "salon.jsonl"
    told = platform.run("tenant", "export", str(salon.tenant_id), str(file))
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert told == f"{len(lines)} rows of {salon.tenant_id} stand in {file}."
    assert file.stat().st_mode & 0o777 == 0o600
    assert {line["row"]["tenant_id"] for line in lines} == {str(salon.tenant_id)}
    tables = {line["table"] for line in lines}
    assert {"tenants", "programs", "customers", "accounts", "audit_entries"} <= tables
    assert "token_directory" not in tables
    assert [line["row"]["full_name"] for line in lines if line["table"] == "customers"] == ["Anna Export"]
    assert not {"code_sealed", "code_hash", "secret_mark"} & {name for line in lines for name in line["row"]}
    with pytest.raises(subprocess.CalledProcessError):
        platform.run("tenant", "export", str(salon.tenant_id), str(file))
    assert len(file.read_bytes().splitlines()) == len(lines)
