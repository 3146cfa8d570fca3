"""Conditions as one readable line, in English or German."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loyalty.rules.catalog import SOLD_KINDS, CatalogKind
from loyalty.rules.earning_rule import WEEKDAYS, Conditions, Weekday
from loyalty.rules.money import format_amount
from loyalty.rules.zones import language_of

SUMMARY_MAX_VALUES = 10
"""The most names of one condition that the line shows; of the others it shows the number."""

Names = Mapping[tuple[CatalogKind, str], str]


class _Wording(NamedTuple):
    """The words of the line in one language."""

    always: str
    service_category: str
    service: str
    customer_category: str
    location: str
    staff: str
    excepted: str
    either: str
    more: str
    over: str
    under: str
    decimal_mark: str
    weekdays: Mapping[Weekday, str]


_ENGLISH = _Wording(
    always="Always",
    service_category="Service category",
    service="Service",
    customer_category="Customer category",
    location="Location",
    staff="Staff",
    excepted="except",
    either="or",
    more="more",
    over="total over",
    under="total under",
    decimal_mark=".",
    weekdays=dict(zip(WEEKDAYS, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True)),
)
_GERMAN = _Wording(
    always="Immer",
    service_category="Leistungskategorie",
    service="Leistung",
    customer_category="Kundenkategorie",
    location="Standort",
    staff="Personal",
    excepted="außer",
    either="oder",
    more="weitere",
    over="Gesamtbetrag über",
    under="Gesamtbetrag unter",
    decimal_mark=",",
    weekdays=dict(zip(WEEKDAYS, ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"), strict=True)),
)


def condition_summary(conditions: Conditions, names: Names, locale: str, currency: str) -> str:
    """Say in one line when a rule applies: "Service: Colour or Haircut · Mon, Tue · total over 100.00 EUR".

    The names come from the catalogue and are sorted. An external id that the catalogue does not have stands for itself.
    After ten names the line only counts the others. The line is German for German locales, else English. `currency` is
    the currency of the totals.
    """
    wording = _GERMAN if language_of(locale) == "de" else _ENGLISH
    parts = [*_value_parts(conditions, names, wording), *_other_parts(conditions, wording, currency)]
    return " · ".join(parts) or wording.always


def list_values(values: Iterable[str], kinds: Iterable[CatalogKind], names: Names, either: str, more: str) -> str:
    """Join the names of external ids: "A, B or C". The first of the ``kinds`` that has an id names it.

    ``either`` is the word before the last name. Names beyond the tenth are only counted: "A, B or 3 more", where
    ``more`` is the word behind their number.
    """
    kinds = tuple(kinds)
    found = sorted((_name_of(value, kinds, names) for value in values), key=_reading_order)
    shown, hidden = found[:SUMMARY_MAX_VALUES], len(found) - SUMMARY_MAX_VALUES
    if hidden > 0:
        shown.append(f"{hidden} {more}")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} {either} {shown[-1]}"


def _value_parts(conditions: Conditions, names: Names, wording: _Wording) -> list[str]:
    """Return a part of the line for each condition with external ids, and for each that excepts ids."""
    kinds_of: tuple[tuple[str, str, tuple[CatalogKind, ...]], ...] = (
        (wording.service_category, "service_categories", (CatalogKind.CATEGORY,)),
        (wording.service, "services", SOLD_KINDS),
        (wording.customer_category, "customer_categories", ()),
        (wording.location, "locations", (CatalogKind.LOCATION,)),
        (wording.staff, "staff", (CatalogKind.STAFF,)),
    )
    parts = []
    for label, name, kinds in kinds_of:
        for said, values in (
            (label, getattr(conditions, name)),
            (f"{wording.excepted} {label}", getattr(conditions, f"except_{name}")),
        ):
            if values:
                parts.append(f"{said}: {list_values(values, kinds, names, wording.either, wording.more)}")
    return parts


def _other_parts(conditions: Conditions, wording: _Wording, currency: str) -> list[str]:
    """Return the parts of the line for weekdays and for limits of the total."""
    parts = []
    if conditions.weekdays:
        parts.append(", ".join(wording.weekdays[day] for day in WEEKDAYS if day in conditions.weekdays))
    if conditions.except_weekdays:
        days = [wording.weekdays[day] for day in WEEKDAYS if day in conditions.except_weekdays]
        parts.append(f"{wording.excepted} {', '.join(days)}")
    limits = (
        (wording.over, conditions.total_greater_than_minor),
        (wording.under, conditions.total_less_than_minor),
    )
    for label, amount_minor in limits:
        if amount_minor is not None:
            amount = format_amount(amount_minor, currency).replace(".", wording.decimal_mark)
            parts.append(f"{label} {amount} {currency}")
    return parts


def _name_of(value: str, kinds: tuple[CatalogKind, ...], names: Names) -> str:
    """Return the name of an external id; the id itself if the catalogue has none of these kinds with it."""
    return next((names[kind, value] for kind in kinds if (kind, value) in names), value)


def _reading_order(name: str) -> tuple[str, str]:
    """Return the key by which names are sorted: capital and small letters are equal, unless the names are."""
    return (name.casefold(), name)
