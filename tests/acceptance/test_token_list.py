"""API tokens a page at a time: newest first, counted, narrowed to those that work, found by name."""

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
    """The names of the tokens of a list."""
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
