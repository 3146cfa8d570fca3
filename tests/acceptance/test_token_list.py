"""API tokens, OAuth clients and identity providers a page at a time, counted; credentials are narrowed, too."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, code_of

LIST = """
query($filter: TokenFilterInput, $first: Int, $after: Cursor, $direction: OrderDirection! = DESCENDING) {
  tokens(filter: $filter, first: $first, after: $after, direction: $direction) {
    totalCount totalCountIsExact nodes { id name } pageInfo { hasNextPage endCursor }
  }
}
"""


async def names(salon: Business, **arguments: object) -> list[str]:
    """Return the names of the tokens of a list."""
    page: Json = await salon.owner.get(LIST, **arguments)
    assert page["totalCount"] == len(page["nodes"])
    return [one["name"] for one in page["nodes"]]


async def test_tokens_have_pages_and_filters(salon: Business) -> None:
    known = await names(salon)
    ids = {}
    for name in ("Till 1", "Till 2", "Web shop"):
        made = await salon.owner.do("apiTokenCreate", "apiToken { id }", name=name, permissions=["LOYALTY_READ"])
        ids[name] = made["apiToken"]["id"]
    await salon.owner.do("apiTokenRevoke", "apiToken { id }", id=ids["Till 1"])
    assert await names(salon) == ["Web shop", "Till 2", "Till 1", *known]
    assert await names(salon, direction="ASCENDING") == [*known[::-1], "Till 1", "Till 2", "Web shop"]
    assert await names(salon, filter={"live": True}) == ["Web shop", "Till 2", *known]
    assert await names(salon, filter={"live": False}) == ["Till 1"]
    assert await names(salon, filter={"search": "TILL"}) == ["Till 2", "Till 1"]
    assert await names(salon, filter={"search": "till", "live": False}) == ["Till 1"]
    seen, after = [], None
    while True:
        page = await salon.owner.get(LIST, first=2, after=after)
        assert page["totalCount"] == 3 + len(known)
        seen += [one["name"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ["Web shop", "Till 2", "Till 1", *known]
    refused = await salon.owner.answer(LIST, filter={"search": ""})
    (problem,) = refused["errors"][0]["extensions"]["problems"]
    assert problem["path"] == ["filter", "search"]
    assert code_of(await salon.manager.answer(LIST)) == "FORBIDDEN"


async def test_oauth_clients_have_pages_and_filters(salon: Business) -> None:
    clients = LIST.replace("tokens(", "oauthClients(")
    ids = {}
    for name in ("Till 1", "Till 2", "Web shop"):
        made = await salon.owner.do("oauthClientCreate", "oauthClient { id }", name=name, permissions=["LOYALTY_READ"])
        ids[name] = made["oauthClient"]["id"]
    await salon.owner.do("oauthClientRevoke", "oauthClient { id }", id=ids["Till 1"])

    async def listed(**arguments: object) -> list[str]:
        page: Json = await salon.owner.get(clients, **arguments)
        assert (page["totalCount"], page["totalCountIsExact"]) == (len(page["nodes"]), True)
        return [one["name"] for one in page["nodes"]]

    assert await listed() == ["Web shop", "Till 2", "Till 1"], "no API token is among them"
    assert await listed(direction="ASCENDING") == ["Till 1", "Till 2", "Web shop"]
    assert await listed(filter={"live": True}) == ["Web shop", "Till 2"]
    assert await listed(filter={"live": False}) == ["Till 1"]
    assert await listed(filter={"search": "TILL"}) == ["Till 2", "Till 1"]
    first = await salon.owner.get(clients, first=2)
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    rest = await salon.owner.get(clients, first=2, after=first["pageInfo"]["endCursor"])
    assert [one["id"] for one in first["nodes"] + rest["nodes"]] == [ids["Web shop"], ids["Till 2"], ids["Till 1"]]
    tokens = await salon.owner.answer(LIST, after=first["pageInfo"]["endCursor"])
    assert code_of(tokens) == "BAD_USER_INPUT", "a cursor belongs to its list"
    assert code_of(await salon.manager.answer(clients)) == "FORBIDDEN"


async def test_identity_providers_have_pages(salon: Business) -> None:
    providers = LIST.replace("filter: $filter, ", "").replace("$filter: TokenFilterInput, ", "")
    providers = providers.replace("tokens(", "oidcIssuers(").replace("name }", "issuer }")
    urls = [f"https://login-{number}.example" for number in range(3)]
    for url in urls:
        roles = [{"value": "boss", "role": "OWNER"}]
        given = {"issuer": url, "audience": f"treue-{salon.tenant_id}", "roleClaim": "roles", "roles": roles}
        await salon.owner.do("oidcIssuerSet", "oidcIssuer { id }", **given)
    page: Json = await salon.owner.get(providers, direction="ASCENDING")
    assert [one["issuer"] for one in page["nodes"]] == urls
    assert (page["totalCount"], page["totalCountIsExact"]) == (3, True)
    first = await salon.owner.get(providers, first=2)
    rest = await salon.owner.get(providers, first=2, after=first["pageInfo"]["endCursor"])
    assert [one["issuer"] for one in first["nodes"] + rest["nodes"]] == urls[::-1]
    await salon.owner.do("oidcIssuerRemove", "oidcIssuer { id }", id=page["nodes"][0]["id"])
    assert (await salon.owner.get(providers))["totalCount"] == 2
    assert code_of(await salon.manager.answer(providers)) == "FORBIDDEN"
