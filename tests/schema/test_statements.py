"""How many statements a whole operation sends: every one is a round trip, and lists must not multiply them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from loyalty.services.customer_token import CustomerGrant
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.root import treue_schema
from tenancy.statements import compile_statement, count_compiled
from tests.fixtures.feeds import NoFeed
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, give, one_point_per_euro, order

PURCHASE_RECORD = """
mutation($input: PurchaseRecordInput!) { purchaseRecord(input: $input) {
  purchase { id status } accrual { points lines { ruleName points } }
  customer { points { available } tier { name } tierProgress { percent next { name } } }
  tierUpgrade { tier { name } } replayed userErrors { code }
} }
"""
PURCHASES_RECORD = """
mutation($input: PurchasesRecordInput!) { purchasesRecord(input: $input) { userErrors { code }
  results { purchase { id status } accrual { points } userErrors { code } }
} }
"""
CUSTOMER = """
query($id: String!) { customer(by: {externalId: $id}) {
  fullName points { available value { amount } } tier { name color } tierProgress { percent pointsToNext next { name } }
} }
"""
CUSTOMERS = """
query($first: Int! = 50) { customers(having: ANY, first: $first) { nodes {
  externalId points { available } tier { name } tierProgress { percent next { name } }
} } }
"""
ENTRIES = """
query($first: Int! = 50) { report(range: {from: "2026-01-01", to: "2099-12-31"}) { activity(first: $first) { nodes {
  points note customer { externalId tier { name } }
  reference { ... on Purchase { externalId } ... on Adjustment { points } }
} } } }
"""
PURCHASES = """
query($first: Int! = 50) { purchases(first: $first) { nodes {
  externalId customer { externalId } accrual { points } refunds { number } entries { points } history { version }
  holds(first: 3) { nodes { points purchase { recorded { status } } } } redemptions(first: 3) { nodes { points } }
} } }
"""
TIERS = "{ tiers { name customerCount } }"
RULES = (
    "query($first: Int! = 50) { earningRules(first: $first) { nodes { name conditionSummary award { __typename } } } }"
)


def no_signer(maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
    """Fail, because no operation here signs a token for a customer."""
    raise NotImplementedError


@pytest.fixture(scope="module")
def treue() -> ExecutableSchema:
    """Provide the whole API."""
    return treue_schema()


@pytest.fixture
async def busy(world: World, salon: Salon) -> Salon:
    """Provide a salon with more customers, entries and rules than a page of 50 holds."""
    for _ in range(55):
        await create_earning_rule(world, salon.manager, one_point_per_euro())
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await create_tier(world, salon.manager, "Gold", "#D4AF37", 5_000)
    for number in range(55):
        await earn(world, salon, order(f"order-{number}", 100 * number, customer=f"customer-{number}"))
    await give(world, salon, 5, "bonus", customer="customer-1")
    return salon


class Counting:
    """Runs operations as an actor, and counts the statements each of them sends."""

    def __init__(self, treue: ExecutableSchema, world: World, statements: StatementLog, actor: Actor) -> None:
        self._treue = treue
        self._services = Services(world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
        self._statements = statements
        self._actor = actor

    async def __call__(self, document: str, **variables: Any) -> tuple[int, Any]:
        """Return the number of statements, and the data."""
        context = Context(self._services, self._actor, "request")
        with self._statements() as sent:
            result = await self._treue.execute(document, variable_values=variables, context_value=context)
        assert result.errors is None, result.errors
        return len(sent), result.data


@pytest.fixture
def count(treue: ExecutableSchema, world: World, statements: StatementLog, busy: Salon) -> Counting:
    """Provide a counter for the manager of the busy salon."""
    return Counting(treue, world, statements, busy.manager)


def purchase(external_id: str, customer: str) -> dict[str, Any]:
    """Return an order of 60 euros."""
    return {
        "kind": "ORDER",
        "externalId": external_id,
        "status": "COMPLETED",
        "customer": {"externalId": customer},
        "total": {"amount": "60.00", "currency": "EUR"},
    }


async def test_a_purchase_is_recorded_in_a_handful_of_statements(count: Counting) -> None:
    """F-37: the first time with everything it moves, and again as a replay."""
    await count(CUSTOMER, id="customer-1")
    first, data = await count(PURCHASE_RECORD, input=purchase("new", "new"))
    assert data["purchaseRecord"]["userErrors"] == []
    assert data["purchaseRecord"]["tierUpgrade"] == {"tier": {"name": "Silver"}}
    replay, data = await count(PURCHASE_RECORD, input=purchase("new", "new"))
    assert data["purchaseRecord"]["replayed"] is True
    assert (first, replay) == (4, 4)


@pytest.mark.parametrize("operation", ["purchaseRecord", "purchasesRecord"])
async def test_what_was_just_recorded_is_not_asked_for_again(count: Counting, operation: str) -> None:
    """The accrual of the purchase is the one that the payload shows, and costs no statement."""
    many = operation == "purchasesRecord"
    document = PURCHASES_RECORD if many else PURCHASE_RECORD
    shown = document.replace("purchase { id status }", "purchase { id status accrual { id points } }")
    for number in range(2):
        # The customer comes into the higher tier, which is read for the answer.
        await count(document, input=_items(f"what-is-known-{number}", many=many))
    without, _ = await count(document, input=_items("what-is-known-2", many=many))
    statements, data = await count(shown, input=_items("what-is-known-3", many=many))
    (result,) = data[operation]["results"] if many else [data[operation]]
    assert result["purchase"]["accrual"]["points"] == result["accrual"]["points"] > 0
    assert statements == without


async def test_who_may_not_read_points_is_not_shown_them_below_the_purchase(
    treue: ExecutableSchema, world: World, busy: Salon
) -> None:
    """The loader refuses that, whatever the process knows of the purchase."""
    records = replace(busy.integration, permissions=frozenset({Permission.PURCHASES_RECORD}))
    services = Services(world, NoFeed(), no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
    document = PURCHASE_RECORD.replace("purchase { id status }", "purchase { id accrual { points } }")
    result = await treue.execute(
        document,
        variable_values={"input": purchase("not-for-everybody", "customer-1")},
        context_value=Context(services, records, "request"),
    )
    assert ["purchaseRecord", "purchase", "accrual"] in [error.path for error in result.errors or ()]


def _items(external_id: str, *, many: bool) -> dict[str, Any]:
    one = purchase(external_id, "customer-1")
    return {"items": [one]} if many else one


async def test_a_customer_with_tier_and_progress_is_one_question(count: Counting) -> None:
    """F-37: everything about a customer agrees because it is read at once."""
    statements, data = await count(CUSTOMER, id="customer-54")
    assert data["customer"]["tier"]["name"] == "Silver"
    assert statements == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param("startsAt endsAt", 1, id="the range"),
        pytest.param("activity { nodes { id } }", 2, id="activity"),
        pytest.param("activeCustomers", 2, id="active customers"),
        pytest.param(
            "pointsEarned pointsRedeemed redemptionRate redemptionRatio movements { earned adjusted }", 2, id="sums"
        ),
        pytest.param("pointsEarned activeCustomers activity { nodes { id } }", 4, id="everything"),
    ],
)
async def test_a_report_reads_only_what_is_selected(count: Counting, fields: str, expected: int) -> None:
    """One statement tells when the days of the range begin; sums, customers and activity are one each."""
    document = f'{{ report(range: {{from: "2020-01-01", to: "2099-12-31"}}) {{ {fields} }} }}'
    statements, data = await count(document)
    assert data["report"]
    assert statements == expected


async def test_reports_of_one_operation_share_a_range(count: Counting) -> None:
    """The sums of a range are read once; another range has its own."""
    one, other = (
        'report(range: {from: "2020-01-01", to: "2099-12-31"})',
        'report(range: {from: "2020-01-01", to: "2020-01-02"})',
    )
    fields = "{ pointsEarned movements { earned adjusted } }"
    same, data = await count(f"{{ a: {one} {fields} b: {one} {fields} }}")
    assert data["a"] == data["b"]
    assert data["a"]["pointsEarned"] > 0
    several, data = await count(f"{{ a: {one} {fields} b: {other} {fields} }}")
    assert data["b"] == {"pointsEarned": 0, "movements": {"earned": 0, "adjusted": 0}}
    assert several == same + 1


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(CUSTOMERS, 1, id="customers with tiers and progress"),
        pytest.param(PURCHASES, 8, id="purchases with all that belongs to them"),
        pytest.param(ENTRIES, 5, id="entries with customers and references"),
        pytest.param(RULES, 3, id="rules with their conditions in words"),
    ],
)
async def test_a_page_of_fifty_takes_as_many_statements_as_a_page_of_ten(
    count: Counting, document: str, expected: int
) -> None:
    """F-37: no question per row, however long the page."""
    ten, few = await count(document, first=10)
    fifty, many = await count(document, first=50)
    assert (len(_nodes(few)), len(_nodes(many))) == (10, 50)
    assert (ten, fifty) == (expected, expected)


def _nodes(data: Any) -> list[Any]:
    """Return the rows of the only list in an answer."""
    while "nodes" not in data:
        (data,) = data.values()
    nodes: list[Any] = data["nodes"]
    return nodes


async def test_a_list_is_counted_only_where_it_is_asked_for(count: Counting) -> None:
    """One statement for both fields, and the number of the whole list however short the page is."""
    page = "{ customers(having: ANY, first: 10) { nodes { externalId } %s } }"
    without, _ = await count(page % "")
    counted, data = await count(page % "totalCount totalCountIsExact again: totalCount")
    assert (without, counted - without) == (1, 1)
    assert data["customers"]["totalCount"] == data["customers"]["again"] == 55
    assert data["customers"]["totalCountIsExact"] is True


async def test_a_list_is_compiled_once_for_each_set_of_filters(count: Counting) -> None:
    """Other values of the same filters compile nothing; another filter does."""
    document = "query($text: String) { customers(search: $text%s) { nodes { id } totalCount } }"
    searched = document % ""
    # Other tests of this process may have filled the cache, which then grows no more.
    compile_statement.cache_clear()
    await count(searched, text="customer-1")
    before = count_compiled()
    for text in ("customer-2", "nobody", "customer-5"):
        await count(searched, text=text)
    assert count_compiled() == before
    await count(document % ', filter: {tags: ["vip"]}', text="customer-1")
    assert count_compiled() == before + 2


async def test_a_hundred_look_ups_are_one_batch(count: Counting) -> None:
    ids = [f"customer-{number}" for number in range(100)]
    document = "query($ids: [String!]!) { customersByExternalId(externalIds: $ids) { externalId } }"
    statements, data = await count(document, ids=ids)
    assert [one is not None for one in data["customersByExternalId"]] == [True] * 55 + [False] * 45
    keys = [{"kind": "ORDER", "externalId": f"order-{number}"} for number in range(100)]
    document = "query($keys: [PurchaseKeyInput!]!) { purchasesByKey(keys: $keys) { externalId } }"
    by_key, data = await count(document, keys=keys)
    assert [one is not None for one in data["purchasesByKey"]] == [True] * 55 + [False] * 45
    assert (statements, by_key) == (1, 1)


async def test_all_tiers_are_counted_at_once(count: Counting) -> None:
    """BK-36: one statement counts the customers of every tier."""
    statements, data = await count(TIERS)
    assert [tier["name"] for tier in data["tiers"]] == ["Silver", "Gold"]
    assert statements == 2
