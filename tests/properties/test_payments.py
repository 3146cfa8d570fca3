"""Points buy cards, cards buy goods, goods earn points: going round gains nothing (F-14)."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from loyalty.rules.earning import CatalogItem, EarningPolicy, EarningRule, compile_rules, evaluate
from loyalty.rules.paid_facts import count_paid
from loyalty.rules.payments import PaidWithCards, Payment, PaymentKind
from loyalty.rules.purchase import PurchaseFacts
from loyalty.rules.tiers import Tier
from tests.properties import strategies as some

Catalog = tuple[CatalogItem, ...]


@st.composite
def splits(draw: st.DrawFn, whole: int, parts: int) -> list[int]:
    """Return an amount in so many parts, some of which may be nothing."""
    cuts = sorted(draw(st.lists(st.integers(0, whole), min_size=parts - 1, max_size=parts - 1)))
    return [after - before for before, after in zip([0, *cuts], [*cuts, whole], strict=True)]


@given(
    some.policies(),
    some.rule_sets(),
    some.catalogs,
    some.purchases(),
    some.instants(),
    some.tier_ladders(),
    st.data(),
)
def test_the_loop_from_points_to_cards_to_purchases_gains_nothing(
    policy: EarningPolicy,
    rules: list[EarningRule],
    catalog: Catalog,
    facts: PurchaseFacts,
    at: datetime,
    ladder: list[Tier],
    data: st.DataObject,
) -> None:
    """F-14, C-24: whatever the rates, the basis and the rounding, what points and cards paid wholly earns no point."""
    total_minor = facts.total.amount_minor
    assume(total_minor)
    basis = replace(policy.basis, exclude_gift_cards=True, exclude_points_paid=True)
    compiled = compile_rules(replace(policy, basis=basis), rules, catalog)
    points, held, spent, told_points, told_card = data.draw(splits(total_minor, 5))
    told = (
        Payment(PaymentKind.POINTS, told_points, "miles"),
        Payment(PaymentKind.GIFT_CARD, told_card, "mall-card"),
    )
    paid = count_paid(replace(facts, payments=told), points, PaidWithCards(held, spent), 0)
    tier = data.draw(st.sampled_from(ladder)) if ladder else None
    assert evaluate(compiled, paid, at, tier).points == 0


@given(st.integers(1, 10_000), st.data())
def test_nobody_earns_for_more_than_was_paid_with_money_in_the_end(total_minor: int, data: st.DataObject) -> None:
    """Where more of a refund came back to a card than its part, the rest earns for the money that stays."""
    spent = data.draw(st.integers(0, total_minor))
    returned = data.draw(st.integers(0, spent))
    refunded = data.draw(st.integers(0, total_minor))
    cards = PaidWithCards(0, spent, returned)
    earning = Fraction(max(0, total_minor - cards.share_of(total_minor, refunded)), total_minor)
    left_minor = total_minor - refunded
    net_card = spent - returned
    if returned * total_minor > spent * refunded:
        assert earning * left_minor <= left_minor - net_card or not left_minor
    else:
        assert earning == Fraction(total_minor - spent, total_minor)


@given(st.integers(1, 10_000), st.data())
def test_a_payment_is_never_counted_twice(total_minor: int, data: st.DataObject) -> None:
    """What is known counts once, whether a report tells it by name, without a reference, or not at all."""
    points, card, _ = data.draw(splits(total_minor, 3))
    facts = data.draw(some.purchases())
    known = PaidWithCards(0, card)
    silent = count_paid(facts, points, known, 0)
    told = (Payment(PaymentKind.POINTS, points), Payment(PaymentKind.GIFT_CARD, card))
    spoken = count_paid(replace(facts, payments=told), points, known, 0)
    assert (silent.points_paid_minor, silent.cards_paid_minor) == (points, card)
    assert (spoken.points_paid_minor, spoken.cards_paid_minor) == (points, card)
