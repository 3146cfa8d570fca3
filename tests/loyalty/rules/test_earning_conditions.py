"""When a rule matches: each condition alone, all of them together, the window and the weekday."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from loyalty.rules.earning import (
    CatalogItem,
    CatalogKind,
    ConditionKind,
    Conditions,
    EarnScope,
    Outcome,
    Weekday,
    WeekdayOf,
    compile_rules,
    evaluate,
)
from loyalty.rules.errors import CurrencyMismatch, InvalidInput
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind
from tests.loyalty.rules.builders import NOW, earn, facts, line, policy, rule, service

MITTE = CatalogItem(CatalogKind.LOCATION, "mitte", "Berlin Mitte", time_zone="Europe/Berlin")
SOHO = CatalogItem(CatalogKind.LOCATION, "soho", "New York Soho", time_zone="America/New_York")
NAMELESS = CatalogItem(CatalogKind.LOCATION, "nameless", "Without a zone")

HAIR = Conditions(service_categories=frozenset({"hair"}))
CUT = Conditions(services=frozenset({"cut"}))
VIP = Conditions(customer_categories=frozenset({"vip"}))
IN_MITTE = Conditions(locations=frozenset({"mitte"}))
BY_ANNA = Conditions(staff=frozenset({"anna"}))
ON_WEDNESDAY = Conditions(weekdays=frozenset({Weekday.WED}))
OVER_100 = Conditions(total_greater_than_minor=10_000)
UNDER_100 = Conditions(total_less_than_minor=10_000)
NOT_IN_MITTE = Conditions(except_locations=frozenset({"mitte"}))
NOT_BY_ANNA = Conditions(except_staff=frozenset({"anna"}))
NOT_VIP = Conditions(except_customer_categories=frozenset({"vip"}))
NOT_ON_WEDNESDAY = Conditions(except_weekdays=frozenset({Weekday.WED}))
NO_CUT = Conditions(except_services=frozenset({"cut"}))
NO_HAIR = Conditions(except_service_categories=frozenset({"hair"}))


@pytest.mark.parametrize(
    ("conditions", "purchase", "failed"),
    [
        pytest.param(HAIR, facts(1, line("cut", "hair")), None, id="BK-13 category"),
        pytest.param(HAIR, facts(1, line("cut", "nails")), ConditionKind.SERVICE_CATEGORIES, id="BK-13 other category"),
        pytest.param(HAIR, facts(1), ConditionKind.SERVICE_CATEGORIES, id="BK-13 no lines"),
        pytest.param(HAIR, facts(1, line("a", "nails"), line("b", "hair")), None, id="BK-13 any line"),
        pytest.param(CUT, facts(1, line("cut")), None, id="BK-14 service"),
        pytest.param(CUT, facts(1, line("colour")), ConditionKind.SERVICES, id="BK-14 other service"),
        pytest.param(CUT, facts(1, line(None)), ConditionKind.SERVICES, id="BK-14 line without item"),
        pytest.param(VIP, facts(1, customer_category="vip"), None, id="BK-15 customer category"),
        pytest.param(VIP, facts(1), ConditionKind.CUSTOMER_CATEGORIES, id="BK-15 customer without category"),
        pytest.param(IN_MITTE, facts(1, location="mitte"), None, id="BK-16 location"),
        pytest.param(IN_MITTE, facts(1, location="soho"), ConditionKind.LOCATIONS, id="BK-16 other location"),
        pytest.param(IN_MITTE, facts(1), ConditionKind.LOCATIONS, id="BK-16 no location"),
        pytest.param(BY_ANNA, facts(1, staff="anna"), None, id="BK-17 staff"),
        pytest.param(BY_ANNA, facts(1, staff="ben"), ConditionKind.STAFF, id="BK-17 other staff"),
        pytest.param(BY_ANNA, facts(1), ConditionKind.STAFF, id="BK-17 no staff"),
        pytest.param(ON_WEDNESDAY, facts(1), None, id="BK-18 weekday"),
        pytest.param(
            ON_WEDNESDAY,
            facts(1, starts_at=NOW + timedelta(days=1)),
            ConditionKind.WEEKDAYS,
            id="BK-18 other weekday",
        ),
        pytest.param(NOT_IN_MITTE, facts(1, location="mitte"), ConditionKind.EXCEPT_LOCATIONS, id="excepted location"),
        pytest.param(NOT_IN_MITTE, facts(1, location="soho"), None, id="another location than the excepted"),
        pytest.param(NOT_IN_MITTE, facts(1), None, id="no location is not excepted"),
        pytest.param(NOT_BY_ANNA, facts(1, staff="anna"), ConditionKind.EXCEPT_STAFF, id="excepted staff"),
        pytest.param(NOT_BY_ANNA, facts(1, staff="ben"), None, id="other staff than the excepted"),
        pytest.param(
            NOT_VIP, facts(1, customer_category="vip"), ConditionKind.EXCEPT_CUSTOMER_CATEGORIES, id="excepted customer"
        ),
        pytest.param(NOT_VIP, facts(1), None, id="a customer without category is not excepted"),
        pytest.param(NOT_ON_WEDNESDAY, facts(1), ConditionKind.EXCEPT_WEEKDAYS, id="excepted weekday"),
        pytest.param(NOT_ON_WEDNESDAY, facts(1, starts_at=NOW + timedelta(days=1)), None, id="the day after"),
        pytest.param(NO_CUT, facts(0, line("cut")), ConditionKind.EXCEPT_SERVICES, id="excepted service"),
        pytest.param(NO_CUT, facts(1, line("cut"), line("wax")), None, id="the rest counts"),
        pytest.param(NO_CUT, facts(1), None, id="nothing is excepted where there are no lines"),
        pytest.param(
            NO_HAIR, facts(0, line("cut", "hair")), ConditionKind.EXCEPT_SERVICE_CATEGORIES, id="excepted category"
        ),
        pytest.param(OVER_100, facts(10_001), None, id="BK-19 over"),
        pytest.param(OVER_100, facts(10_000), ConditionKind.TOTAL_GREATER_THAN, id="BK-19 100.00 is not over 100"),
        pytest.param(OVER_100, facts(9_999), ConditionKind.TOTAL_GREATER_THAN, id="BK-19 not over"),
        pytest.param(UNDER_100, facts(9_999), None, id="BK-19 under"),
        pytest.param(UNDER_100, facts(10_000), ConditionKind.TOTAL_LESS_THAN, id="BK-19 100.00 is not under 100"),
        pytest.param(UNDER_100, facts(10_001), ConditionKind.TOTAL_LESS_THAN, id="BK-19 not under"),
        pytest.param(Conditions(), facts(0), None, id="BK-21 no condition is global"),
        pytest.param(Conditions(), facts(1, location="soho", staff="ben"), None, id="BK-21 global anywhere"),
    ],
)
def test_each_condition_alone(conditions: Conditions, purchase: PurchaseFacts, failed: ConditionKind | None) -> None:
    evaluation = earn(purchase, rule(1, conditions=conditions))
    [result] = evaluation.lines
    assert result.failed_condition == failed
    assert result.outcome is (Outcome.APPLIED if failed is None else Outcome.NOT_MATCHED)
    assert evaluation.points == (10 if failed is None else 0)


EVERYTHING = Conditions(
    service_categories=frozenset({"hair", "nails"}),
    services=frozenset({"cut", "colour"}),
    customer_categories=frozenset({"vip", "friend"}),
    locations=frozenset({"mitte", "soho"}),
    staff=frozenset({"anna", "ben"}),
    weekdays=frozenset({Weekday.WED, Weekday.THU}),
    total_greater_than_minor=5_000,
    total_less_than_minor=20_000,
)
MATCHING = facts(10_000, line("colour", "hair"), customer_category="vip", location="mitte", staff="ben")


def test_all_conditions_must_be_met_and_one_value_of_each_is_enough() -> None:
    """BK-23: AND between kinds, OR inside one."""
    assert earn(MATCHING, rule(1, conditions=EVERYTHING)).points == 10


@pytest.mark.parametrize(
    ("purchase", "failed"),
    [
        (facts(10_000, line("colour", "feet"), customer_category="vip", location="mitte", staff="ben"),
         ConditionKind.SERVICE_CATEGORIES),
        (facts(10_000, line("shave", "hair"), customer_category="vip", location="mitte", staff="ben"),
         ConditionKind.SERVICES),
        (facts(10_000, line("colour", "hair"), customer_category="new", location="mitte", staff="ben"),
         ConditionKind.CUSTOMER_CATEGORIES),
        (facts(10_000, line("colour", "hair"), customer_category="vip", location="wedding", staff="ben"),
         ConditionKind.LOCATIONS),
        (facts(10_000, line("colour", "hair"), customer_category="vip", location="mitte", staff="cleo"),
         ConditionKind.STAFF),
        (facts(10_000, line("colour", "hair"), customer_category="vip", location="mitte", staff="ben",
               starts_at=NOW + timedelta(days=2)), ConditionKind.WEEKDAYS),
        (facts(5_000, line("colour", "hair"), customer_category="vip", location="mitte", staff="ben"),
         ConditionKind.TOTAL_GREATER_THAN),
        (facts(20_000, line("colour", "hair"), customer_category="vip", location="mitte", staff="ben"),
         ConditionKind.TOTAL_LESS_THAN),
    ],
)  # fmt: skip
def test_one_condition_that_fails_is_enough_to_earn_nothing(purchase: PurchaseFacts, failed: ConditionKind) -> None:
    """BK-23: and the breakdown names it."""
    evaluation = earn(purchase, rule(1, conditions=EVERYTHING))
    assert evaluation.points == 0
    assert evaluation.lines[0].failed_condition == failed


def test_one_line_must_satisfy_both_item_conditions() -> None:
    """BK-23: a cut that is not hair and some other hair do not make a hair cut."""
    both = Conditions(service_categories=frozenset({"hair"}), services=frozenset({"cut"}))
    apart = facts(1, line("cut", "dogs"), line("colour", "hair"))
    result = earn(apart, rule(1, conditions=both)).lines[0]
    assert (result.points, result.failed_condition) == (0, ConditionKind.SERVICES)
    assert earn(facts(1, line("cut", "hair")), rule(1, conditions=both)).points == 10


def test_a_line_without_category_has_that_of_its_item() -> None:
    """BK-13."""
    catalog = (service("cut", category="hair"),)
    assert earn(facts(1, line("cut")), rule(1, conditions=HAIR), catalog=catalog).points == 10
    assert earn(facts(1, line("cut", "dogs")), rule(1, conditions=HAIR), catalog=catalog).points == 0
    assert earn(facts(1, line("colour")), rule(1, conditions=HAIR), catalog=catalog).points == 0


def test_an_id_that_several_kinds_share_means_what_the_purchase_sells() -> None:
    catalog = (
        CatalogItem(CatalogKind.PRODUCT, "1", "Shampoo", category="goods"),
        CatalogItem(CatalogKind.SERVICE, "1", "Cut", category="hair"),
        CatalogItem(CatalogKind.CLASS, "1", "Yoga", category="sport"),
    )
    earned = {
        kind: [
            earn(
                facts(1, line("1"), kind=kind),
                rule(1, conditions=Conditions(service_categories=frozenset({category}))),
                catalog=catalog,
            ).points
            for category in ("hair", "sport", "goods")
        ]
        for kind in PurchaseKind
    }
    assert earned == {
        PurchaseKind.APPOINTMENT: [10, 0, 0],
        PurchaseKind.CLASS: [0, 10, 0],
        PurchaseKind.ORDER: [0, 0, 10],
    }


def test_an_item_of_another_kind_is_found_when_there_is_no_better_one() -> None:
    """SB-01: classes and products on an appointment count too."""
    catalog = (CatalogItem(CatalogKind.PRODUCT, "wax", "Wax", category="hair"),)
    assert earn(facts(1, line("wax")), rule(1, conditions=HAIR), catalog=catalog).points == 10


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


@pytest.mark.parametrize(
    ("starts_at", "location", "day", "zone"),
    [
        # 23:30 UTC on Wednesday is Thursday in Berlin and still Wednesday in New York.
        pytest.param("2025-01-01T23:30:00", None, Weekday.THU, BERLIN, id="tenant"),
        pytest.param("2025-01-01T23:30:00", "soho", Weekday.WED, NEW_YORK, id="location"),
        pytest.param("2025-01-01T23:30:00", "nameless", Weekday.THU, BERLIN, id="location without a zone"),
        pytest.param("2025-01-01T23:30:00", "elsewhere", Weekday.THU, BERLIN, id="unknown location"),
        # Around midnight in Berlin, on both sides of the changes of clocks.
        pytest.param("2025-03-29T22:59:59", "mitte", Weekday.SAT, BERLIN, id="forward, before the day"),
        pytest.param("2025-03-29T23:00:00", "mitte", Weekday.SUN, BERLIN, id="forward, first second"),
        pytest.param("2025-03-30T21:59:59", "mitte", Weekday.SUN, BERLIN, id="forward, last second"),
        pytest.param("2025-03-30T22:00:00", "mitte", Weekday.MON, BERLIN, id="forward, after the day"),
        pytest.param("2025-10-25T21:59:59", "mitte", Weekday.SAT, BERLIN, id="back, before the day"),
        pytest.param("2025-10-25T22:00:00", "mitte", Weekday.SUN, BERLIN, id="back, first second"),
        pytest.param("2025-10-26T22:59:59", "mitte", Weekday.SUN, BERLIN, id="back, last second"),
        pytest.param("2025-10-26T23:00:00", "mitte", Weekday.MON, BERLIN, id="back, after the day"),
    ],
)
def test_the_weekday_is_that_of_the_location(starts_at: str, location: str | None, day: Weekday, zone: str) -> None:
    """BK-18, C-05: in the location's time zone, else in the tenant's; also where clocks change."""
    purchase = facts(1, starts_at=datetime.fromisoformat(f"{starts_at}+00:00"), location=location)
    conditions = Conditions(weekdays=frozenset({day}))
    evaluation = earn(purchase, rule(1, conditions=conditions), catalog=(MITTE, SOHO, NAMELESS))
    assert (evaluation.weekday, evaluation.time_zone, evaluation.points) == (day, zone, 10)


TUESDAY, THURSDAY = NOW - timedelta(days=1), NOW + timedelta(days=1)


@pytest.mark.parametrize(
    ("weekday_of", "booked_at", "starts_at", "day"),
    [
        pytest.param(WeekdayOf.SERVICE_START, TUESDAY, THURSDAY, Weekday.THU, id="service"),
        pytest.param(WeekdayOf.BOOKED_AT, TUESDAY, THURSDAY, Weekday.TUE, id="booking"),
        pytest.param(WeekdayOf.SERVICE_START, TUESDAY, None, Weekday.TUE, id="an order has no service"),
        pytest.param(WeekdayOf.BOOKED_AT, None, THURSDAY, Weekday.WED, id="evaluated"),
        pytest.param(WeekdayOf.SERVICE_START, None, None, Weekday.WED, id="neither"),
    ],
)
def test_the_program_says_whose_weekday_counts(
    weekday_of: WeekdayOf, booked_at: datetime | None, starts_at: datetime | None, day: Weekday
) -> None:
    """C-05."""
    purchase = facts(1, booked_at=booked_at, starts_at=starts_at)
    assert earn(purchase, program=policy(weekday_of=weekday_of)).weekday is day


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("booked_at", "applies"),
    [(NOW - SECOND, False), (NOW, True), (NOW + timedelta(days=1) - SECOND, True), (NOW + timedelta(days=1), False)],
)
def test_the_window_has_its_start_and_not_its_end(booked_at: datetime, applies: bool) -> None:  # noqa: FBT001
    """The window is half-open and tested against the booking."""
    campaign = rule(1, starts_at=NOW, ends_at=NOW + timedelta(days=1))
    evaluation = earn(facts(1, booked_at=booked_at), campaign, at=NOW + timedelta(days=30))
    assert (evaluation.points == 10) is applies
    assert evaluation.lines[0].failed_condition == (None if applies else ConditionKind.WINDOW)


def test_the_window_is_tested_against_the_evaluation_when_nothing_was_booked() -> None:
    campaign = rule(1, starts_at=NOW)
    assert earn(facts(1, booked_at=None), campaign, at=NOW).points == 10
    assert earn(facts(1, booked_at=None), campaign, at=NOW - SECOND).points == 0


def test_a_rule_that_is_switched_off_is_not_there() -> None:
    """BK-20: neither points nor a line, and back when it is switched on again."""
    assert earn(facts(1), rule(1, active=False)).lines == ()
    assert earn(facts(1), rule(1, active=True)).points == 10


def test_toggling_a_rule_does_not_change_what_was_compiled() -> None:
    """C-01: what was evaluated at the booking is frozen."""
    compiled = compile_rules(policy(), [rule(1)], [])
    before = evaluate(compiled, facts(1), NOW)
    assert evaluate(compiled, facts(1), NOW) == before


def test_refuses_another_currency() -> None:
    """BK-19, F-22: 100 USD are never counted as 100 EUR."""
    with pytest.raises(CurrencyMismatch) as refusal:
        earn(replace(facts(), total=Money(10_000, "USD")), rule(1))
    assert (refusal.value.expected_currency, refusal.value.actual_currency) == ("EUR", "USD")


def test_refuses_a_time_zone_that_does_not_exist() -> None:
    with pytest.raises(InvalidInput):
        compile_rules(policy(time_zone="Nowhere"), [], [])


def test_nothing_is_earned_without_an_enrolled_line_when_items_opt_in() -> None:
    """C-04, SB-13."""
    program = policy(earn_scope=EarnScope.OPT_IN)
    for purchase in (facts(1), facts(1, line("cut")), facts(1, line(None))):
        evaluation = earn(purchase, rule(1), rule(2), program=program, catalog=(service("cut"),))
        assert evaluation.points == 0
        assert evaluation.basis_minor == 0
        assert {result.failed_condition for result in evaluation.lines} == {ConditionKind.EARN_SCOPE}
    enrolled = earn(facts(1, line("cut")), rule(1), program=program, catalog=(service("cut", enrolled=True),))
    assert enrolled.points == 10


def test_a_line_that_is_not_enrolled_satisfies_no_condition_when_items_opt_in() -> None:
    """C-04."""
    program = policy(earn_scope=EarnScope.OPT_IN)
    purchase = facts(1, line("cut", "hair"), line("colour", "nails"))
    catalog = (service("cut"), service("colour", enrolled=True))
    assert earn(purchase, rule(1, conditions=HAIR), program=program, catalog=catalog).points == 0
    assert earn(purchase, rule(1, conditions=HAIR), catalog=catalog).points == 10


def test_the_business_of_a_salon_can_be_expressed() -> None:
    """BK-27: certain services, premium places and people, quiet days, high totals."""
    rules = (
        rule(1, conditions=HAIR),
        rule(2, conditions=Conditions(locations=frozenset({"mitte"}), staff=frozenset({"anna"}))),
        rule(3, conditions=ON_WEDNESDAY),
        rule(4, conditions=OVER_100),
    )
    purchase = facts(12_000, line("cut", "hair"), location="mitte", staff="anna")
    assert earn(purchase, *rules).points == 40
    assert earn(facts(12_000), *rules).points == 20
