"""Documents keep every value, look as earlier releases wrote them, and read what those releases left out."""

import json
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, Revalue
from loyalty.rules.earning import (
    Conditions,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Ratio,
    Weekday,
)
from loyalty.rules.exchange import Exchange
from loyalty.rules.expiry import NEVER, ExpiryPolicy
from loyalty.rules.formula import FactorFormula, FixedFormula, LinePart, LinesFormula, RatedPart
from loyalty.rules.money import Money, PointValue
from loyalty.rules.program import ProgramSettings, default_settings
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.rules.rounding import Rounding
from loyalty.rules.tiers import DEFAULT_TIERING
from loyalty.storage.documents import (
    from_document,
    from_optional,
    read_award,
    read_formula,
    read_lines,
    to_document,
)
from tests.properties import strategies as some


def stored(value: Any) -> Any:
    """Return a document as it comes back from the database."""
    return json.loads(json.dumps(to_document(value)))


AS_THEY_STAND: list[tuple[Any, Any]] = [
    (FixedAward(10), {"kind": "FIXED", "points": 10}),
    (
        PerAmountAward(1, 100, Rounding.CEIL),
        {"kind": "PER_AMOUNT", "points": 1, "per_minor": 100, "rounding": "CEIL"},
    ),
    (PerUnitAward(3), {"kind": "PER_UNIT", "points": 3}),
    (MultiplierAward(Ratio(3, 2)), {"kind": "MULTIPLIER", "numerator": 3, "denominator": 2}),
    (PointValue(100, Money(1, "EUR")), {"points": 100, "amount_minor": 1, "currency": "EUR"}),
    (Exchange("USD", Ratio(9512, 10_000), 5), {"currency": "USD", "rate": "0.9512", "total_minor": 5}),
    (
        Conditions(weekdays=frozenset({Weekday.SUN, Weekday.MON}), services=frozenset({"b", "a"})),
        {
            "service_categories": [],
            "services": ["a", "b"],
            "customer_categories": [],
            "locations": [],
            "staff": [],
            "weekdays": ["MON", "SUN"],
            "total_greater_than_minor": None,
            "total_less_than_minor": None,
        },
    ),
    (
        PurchaseLine("cut", None, Fraction(3, 2), 100, 0, 0),
        {
            "item": "cut",
            "category": None,
            "quantity": "1.5",
            "unit_price_minor": 100,
            "discount_minor": 0,
            "tax_minor": 0,
            "kind": "ITEM",
        },
    ),
    (FixedFormula(3), {"kind": "FIXED", "points": 3, "numerator": 1, "denominator": 1, "parts": [], "rest_minor": 0}),
    (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
    (date(2026, 1, 2), "2026-01-02"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
]


@pytest.mark.parametrize(("value", "document"), AS_THEY_STAND, ids=[type(value).__name__ for value, _ in AS_THEY_STAND])
def test_a_document_looks_as_earlier_releases_wrote_it(value: Any, document: Any) -> None:
    assert to_document(value) == document


def test_a_value_without_a_form_raises_a_type_error() -> None:
    with pytest.raises(TypeError, match="float has no form in a document"):
        to_document(1.5)


@given(some.awards, some.conditions, some.purchases(1), st.from_type(ExpiryPolicy), st.from_type(AccrualPolicy))
def test_every_value_comes_back(
    award: Any, conditions: Conditions, facts: Any, expiry: ExpiryPolicy, accrual: AccrualPolicy
) -> None:
    assert read_award(stored(award)) == award
    assert from_document(Conditions, stored(conditions)) == conditions
    assert read_lines(stored(facts.lines)) == facts.lines
    assert from_optional(ExpiryPolicy, stored(expiry)) == expiry
    assert from_document(AccrualPolicy, stored(accrual)) == accrual


@pytest.mark.parametrize(
    "formula",
    [
        FixedFormula(3, parts=(LinePart(0, 3),)),
        LinesFormula(
            points=1,
            per_minor=2,
            rounding=Rounding.CEIL,
            numerator=1,
            denominator=1,
            paid_numerator=1,
            paid_denominator=1,
            rest_minor=0,
            shared=(LinePart(1, 1),),
            plain=(),
            own=(),
            scale=2,
            rated=(RatedPart(1, 2, 3, 4, 5),),
        ),
        FactorFormula(3, 2),
        None,
    ],
    ids=lambda formula: type(formula).__name__,
)
def test_a_formula_comes_back(formula: Any) -> None:
    assert read_formula(stored(formula)) == formula


def test_settings_of_an_earlier_release_have_the_defaults_of_what_came_later() -> None:
    document = stored(default_settings("EUR"))
    for later in ("basis", "expiry", "notice_days", "tiering"):
        del document[later]
    for later in ("hold_minutes", "restore", "restore_grace_days", "return_on_cancel", "max_points_per_redemption"):
        del document["redemption"][later]
    document["accrual"] = {"evaluate_on": "PURCHASE_PAID", "mature_on": "EVALUATION", "forfeit_on": ["REFUNDED"]}
    settings = from_document(ProgramSettings, document)
    assert settings.redemption == default_settings("EUR").redemption
    assert (settings.expiry, settings.tiering) == (NEVER, DEFAULT_TIERING)
    assert settings.accrual == AccrualPolicy(
        EvaluateOn.PURCHASE_PAID, forfeit_on=frozenset({PurchaseStatus.REFUNDED}), revalue=Revalue.ALWAYS
    )


def test_a_member_that_a_newer_release_has_written_is_ignored_and_one_that_must_be_there_is_missed() -> None:
    assert from_document(Money, {"amount_minor": 1, "currency": "EUR", "later": True}) == Money(1, "EUR")
    with pytest.raises(KeyError, match="currency"):
        from_document(Money, {"amount_minor": 1})
    with pytest.raises(ValueError, match="NOPE"):
        from_document(AccrualPolicy, {"evaluate_on": "NOPE"})
