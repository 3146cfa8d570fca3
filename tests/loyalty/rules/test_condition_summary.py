import pytest

from loyalty.rules.earning import CatalogKind, Conditions, Weekday, condition_summary

NAMES = {
    (CatalogKind.SERVICE, "1"): "Haircut",
    (CatalogKind.SERVICE, "2"): "Colour",
    (CatalogKind.CLASS, "3"): "Yoga",
    (CatalogKind.PRODUCT, "1"): "Shampoo",
    (CatalogKind.CATEGORY, "1"): "Hair",
    (CatalogKind.LOCATION, "1"): "Berlin Mitte",
    (CatalogKind.STAFF, "1"): "Anna",
}
IN_ENGLISH = (
    "Service category: Hair · Service: Colour or Haircut · Customer category: vip · Location: Berlin Mitte · "
    "Staff: Anna · Mon, Sun · total over 100.00 EUR · total under 200.50 EUR"
)
IN_GERMAN = (
    "Leistungskategorie: Hair · Leistung: Colour oder Haircut · Kundenkategorie: vip · Standort: Berlin Mitte · "
    "Personal: Anna · Mo, So · Gesamtbetrag über 100,00 EUR · Gesamtbetrag unter 200,50 EUR"
)
ALL_KINDS = Conditions(
    service_categories=frozenset({"1"}),
    services=frozenset({"1", "2"}),
    customer_categories=frozenset({"vip"}),
    locations=frozenset({"1"}),
    staff=frozenset({"1"}),
    weekdays=frozenset({Weekday.SUN, Weekday.MON}),
    total_greater_than_minor=10_000,
    total_less_than_minor=20_050,
)


@pytest.mark.parametrize(
    ("conditions", "locale", "summary"),
    [
        (Conditions(), "en", "Always"),
        (Conditions(), "de-AT", "Immer"),
        (Conditions(services=frozenset({"1"})), "en", "Service: Haircut"),
        (
            Conditions(
                services=frozenset({"1", "2"}),
                weekdays=frozenset({Weekday.TUE, Weekday.MON}),
                total_greater_than_minor=10_000,
            ),
            "en-GB",
            "Service: Colour or Haircut · Mon, Tue · total over 100.00 EUR",
        ),
        (Conditions(services=frozenset({"1", "3", "unknown"})), "fr", "Service: Haircut, unknown or Yoga"),
        (
            Conditions(
                service_categories=frozenset({"1"}),
                except_services=frozenset({"2"}),
                except_locations=frozenset({"1"}),
                except_weekdays=frozenset({Weekday.SUN, Weekday.SAT}),
            ),
            "en",
            "Service category: Hair · except Service: Colour · except Location: Berlin Mitte · except Sat, Sun",
        ),
        (Conditions(except_services=frozenset({"2"})), "de", "außer Leistung: Colour"),
        (ALL_KINDS, "en", IN_ENGLISH),
        (ALL_KINDS, "de", IN_GERMAN),
    ],
)
def test_conditions_are_one_readable_line(conditions: Conditions, locale: str, summary: str) -> None:
    """BK-24."""
    assert condition_summary(conditions, NAMES, locale, "EUR") == summary


@pytest.mark.parametrize(
    ("count", "summary"),
    [
        (10, "Staff: 000, 001, 002, 003, 004, 005, 006, 007, 008 or 009"),
        (11, "Staff: 000, 001, 002, 003, 004, 005, 006, 007, 008, 009 or 1 more"),
        (200, "Staff: 000, 001, 002, 003, 004, 005, 006, 007, 008, 009 or 190 more"),
    ],
)
def test_long_lists_are_counted_instead_of_spelled_out(count: int, summary: str) -> None:
    """BK-24."""
    conditions = Conditions(staff=frozenset(f"{number:03}" for number in range(count)))
    assert condition_summary(conditions, {}, "en", "EUR") == summary


def test_amounts_have_the_decimals_of_their_currency() -> None:
    conditions = Conditions(total_greater_than_minor=5_000)
    assert condition_summary(conditions, {}, "en", "JPY") == "total over 5000 JPY"
    assert condition_summary(conditions, {}, "de", "KWD") == "Gesamtbetrag über 5,000 KWD"
