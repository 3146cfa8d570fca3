"""Archive a customer over the wire: lists, look-ups, the customer's own app, the log, and the way back."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, code_of, create_rule, record
from tests.fixtures.live import until

ARCHIVED = "customer { externalId archivedAt account { available } } userErrors { code path }"
LIST = "query($archived: Boolean) { customers(having: ANY, filter: {archived: $archived}) { totalCount nodes { id } } }"
HISTORY = (
    '{ customer(by: {externalId: "anna"}) { archivedAt archiveHistory { archived cause note actor '
    "purchase { externalId } hold { points } } } }"
)
EVENTS = "{ events(kinds: [CUSTOMER_ARCHIVED, CUSTOMER_UNARCHIVED]) { nodes { kind customer { externalId } points } } }"


async def counted(salon: Business, *, archived: bool | None = None) -> int:
    """Return how many customers a list has."""
    found: Json = await salon.staff.get(LIST, archived=archived)
    assert len(found["nodes"]) == found["totalCount"]
    return int(found["totalCount"])


async def test_a_customer_goes_and_comes_back(salon: Business) -> None:
    await create_rule(salon.manager, "Ten", 10)
    await record(salon.integration, "first", customer={"externalId": "anna", "fullName": "Anna"})
    anna = {"customer": {"externalId": "anna"}}
    app = await salon.customer("anna")
    assert await app.get("{ viewer { customer { externalId } } }")
    archived = await salon.integration.do("customerArchive", ARCHIVED, **anna, reason="moved away")
    assert archived["customer"]["archivedAt"] is not None
    assert archived["customer"]["account"] == {"available": 10}
    assert (await counted(salon), await counted(salon, archived=False), await counted(salon, archived=True)) == (
        0,
        0,
        1,
    )
    assert code_of(await app.answer("{ viewer { customer { externalId } } }")) == "UNAUTHENTICATED"
    (refused,) = await salon.owner.refusals("customerTokenCreate", **anna)
    assert (refused["code"], refused["path"]) == ("CUSTOMER_IS_ARCHIVED", ["customer"])
    await record(salon.integration, "second", customer={"externalId": "anna"})
    assert (await counted(salon), await counted(salon, archived=True)) == (1, 0)
    found = await salon.manager.get(HISTORY)
    assert found["archivedAt"] is None
    back, gone = found["archiveHistory"]
    assert (back["archived"], back["cause"], back["purchase"], back["hold"]) == (
        *(False, "PURCHASE"),
        *({"externalId": "second"}, None),
    )
    assert (gone["archived"], gone["cause"], gone["note"], gone["purchase"]) == (True, "CALL", "moved away", None)

    async def told() -> bool:
        return len((await salon.staff.get(EVENTS))["nodes"]) == 2

    await until(told)
    assert (await salon.staff.get(EVENTS))["nodes"] == [
        {"kind": kind, "customer": {"externalId": "anna"}, "points": None}
        for kind in ("CUSTOMER_ARCHIVED", "CUSTOMER_UNARCHIVED")
    ]
    own = await app.get("{ viewer { customer { archiveHistory { archived note actor } } } }")
    assert own["customer"]["archiveHistory"] == [
        {"archived": False, "note": None, "actor": "STAFF"},
        {"archived": True, "note": None, "actor": "STAFF"},
    ]
