"""The table of round trips in ARCHITECTURE.md: each row is measured here, or names the tests that measure it."""

import re
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.gift_card_gift import Gift
from loyalty.services.adjustment import adjust_points
from loyalty.services.checkout import quote_checkout
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.customer_archive import archive_customer, unarchive_customer
from loyalty.services.customer_merge import MergeRequest, merge_customers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.gift_card import look_up_gift_card
from loyalty.services.gift_card_gift import GiveRequest, claim_gift_card, give_gift_card
from loyalty.services.profile import upsert_customers
from loyalty.services.redemption import release_hold
from loyalty.services.world import World
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    adjustment,
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    pay_back,
    set_policy,
    set_redemption,
)
from tests.loyalty.services.gift_cards import (
    cancel_card,
    capture_card,
    extend_card,
    hold_card,
    issue,
    release_card,
    return_card,
)

ROOT = Path(__file__).parents[2]
Answer = TypeVar("Answer")

MEASURED_ELSEWHERE = {
    "`purchaseRecord`, and `purchasesRecord` with 1,000": "test_a_thousand_purchases_take_as_many_as_one",
    "`purchaseRecord`, replayed": "test_a_replay_takes_no_more",
    "`customerErase`": "test_customer_erase",
    "`purchaseRecord` of a purchase that points pay for": "test_points_paid",
    "`purchaseRecord` that takes credited points back": "test_accrual",
    "`pointsAdjust` of who has a limit a day": "test_members",
    "a revaluation": "test_revaluation",
    "`purchaseReassign`": "test_purchase_reassign",
    "`purchaseRefund` with": "test_refund_points",
    "`giftCardBuy`": "test_gift_card_buy",
    "a hold of a card, a capture of a part": "test_gift_card_payment",
    "where points expire by inactivity": "test_expiry",
    "a batch of the sweep of tiers": "test_tier_policy",
    "a batch of the sweeps": "test_expiry",
    "`openingBalancesImport`": "test_opening_balance",
    "a loader batch": "test_statement_counts",
}
"""Rows that need more than a call, and the test, or the module of tests, that pins them."""


def read_table() -> dict[str, list[int]]:
    """Return the table: what is done, and how many round trips it takes, for each of its cases."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text.partition("| operation | round trips |\n| --- | --- |\n")[2].partition("\n\n")[0]
    cells = [re.split(r" \| ", line.strip("| ")) for line in table.splitlines()]
    return {
        done: [int(found[0]) for part in said.split(" / ") if (found := re.findall(r"\d+", part))]
        for done, said in cells
    }


class Measuring:
    """Compares what calls take with the table."""

    def __init__(self, statements: StatementLog) -> None:
        self.statements = statements
        self.table = read_table()
        self.different: list[str] = []

    async def compare(self, row: str, call: Awaitable[Answer], case: int = 0) -> Answer:
        """Compare what a call takes with a case of the row that begins so."""
        with self.statements() as sent:
            answer = await call
        written = next(numbers for done, numbers in self.table.items() if done.startswith(row))
        if len(sent) != written[case]:
            self.different.append(f"{row}: {written[case]} in the table, {len(sent)} counted")
        return answer


async def test_points_take_what_the_table_says(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37: no number is only prose."""
    ask = Measuring(statements)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    known = await earn(world, salon, order("order-1", 50_000))
    await earn(world, salon, order("of ben", 1_000, customer="ben"))
    anna = CustomerKey(external_id="anna")
    by_id = adjustment(5, "by id")._replace(customer=CustomerKey(id=known.customer.id))
    await ask.compare("`pointsAdjust`, by id", adjust_points(world, salon.manager, by_id))
    await ask.compare("`pointsAdjust`, by id", give(world, salon, 5, "by external id"))
    await ask.compare("`pointsAdjust`, by id", give(world, salon, -5, "take"), case=1)
    await ask.compare("`checkoutQuote`", quote_checkout(world, salon.staff, anna, checkout(), None))
    held = await ask.compare("`redemptionHold`", hold(world, salon, 20, "basket"))
    changed = hold(world, salon, 30, "changed basket", replaces=held.hold.id)
    held = await ask.compare("`redemptionHold`", changed, case=1)
    row = "`redemptionCapture`, `redemptionRelease`, `redemptionReturn`"
    spent = await ask.compare(row, capture(world, salon, held, "paid"))
    await ask.compare(row, give_back(world, salon, spent, "back", points=5))
    other = await hold(world, salon, 20, "another basket")
    await ask.compare(row, release_hold(world, salon.integration, other.hold.id, "no"))
    await ask.compare("`purchaseRefund` of", pay_back(world, salon, "of ben", 100, "a part"), case=1)
    await set_policy(world, salon, delay_minutes=60)
    await earn(world, salon, order("pending", 1_000, customer="ben"))
    await ask.compare("`purchaseRefund` of", pay_back(world, salon, "pending", 100, "another part"))
    assert ask.different == []


async def test_customers_take_what_the_table_says(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37."""
    ask = Measuring(statements)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for name in ("anna", "ben"):
        await earn(world, salon, order(f"of {name}", 1_000, customer=name))
    await ask.compare("`customerUpsert`, and", upsert_customers(world, salon.manager, [CustomerProfile("new")]))
    row, new = "`customerArchive`, `customerUnarchive`", CustomerKey(external_id="new")
    await ask.compare(row, archive_customer(world, salon.manager, new, "moved away"))
    await ask.compare(row, unarchive_customer(world, salon.manager, new, "back"))
    nobody = CustomerKey(email="nobody@example.com")
    await ask.compare("a look-up by e-mail", find_customer(world, salon.staff, nobody))
    names = (CustomerKey(external_id="ben"), CustomerKey(external_id="anna"))
    request = MergeRequest(*names, None, "the same person")
    await ask.compare("`customerMerge`, whatever moves", merge_customers(world, salon.manager, request))
    assert ask.different == []


async def test_gift_cards_take_what_the_table_says(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37."""
    ask = Measuring(statements)
    await earn(world, salon, order("order-1", 50_000))
    card = await ask.compare("`giftCardIssue`", issue(world, salon))
    await ask.compare("`giftCardLookup`", look_up_gift_card(world, salon.integration, card.code))
    held = await ask.compare("`giftCardHold`", hold_card(world, salon, card.card.id, 500, order=None))
    row = "`giftCardCapture`, `giftCardRelease`, `giftCardReturn`"
    await ask.compare(row, capture_card(world, salon, held.hold.id))
    await ask.compare(row, return_card(world, salon, held.hold.id))
    again = await hold_card(world, salon, card.card.id, 500, "again", order=None)
    await ask.compare(row, release_card(world, salon, again.hold.id))
    row, second = "`giftCardCancel` / `giftCardExtend`", await issue(world, salon, key="second")
    await ask.compare(row, cancel_card(world, salon, second.card.id))
    late = (datetime.now(UTC) + timedelta(days=3_000)).date()
    await ask.compare(row, extend_card(world, salon, card.card.id, late), case=1)
    row, anna = "`giftCardGive`", CustomerKey(external_id="anna")
    await ask.compare(row, give_gift_card(world, salon.manager, GiveRequest(card.card.id, Gift("Eva"), "a gift")))
    await ask.compare(row, claim_gift_card(world, salon.manager, card.code, anna, "for the team"), case=2)
    await give_gift_card(world, salon.manager, GiveRequest(card.card.id, Gift("Eva"), "another gift"))
    eva = customer_actor(salon.tenant_id, await known_customer(world, salon, "eva"))
    await ask.compare(row, claim_gift_card(world, eva, card.code, None, "mine"), case=1)
    assert ask.different == []


def test_every_row_is_measured_here_or_names_its_test() -> None:
    here = Path(__file__).read_text("utf-8")
    tests = {path.stem: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    for done in read_table():
        elsewhere = [test for row, test in MEASURED_ELSEWHERE.items() if done.startswith(row)]
        assert elsewhere or f'"{done[:12]}' in here, done
        for test in elsewhere:
            assert test in tests or any(f"def {test}(" in text for text in tests.values()), test
