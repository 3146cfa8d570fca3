"""The filters of a list of customers."""

from collections.abc import Sequence

import strawberry

from loyalty.rules.birthday import DayOfYear, day_of_year, tidy_birthday
from loyalty.rules.errors import InvalidInput, Problem, refuse_problems
from loyalty.rules.tag import validate_tags
from loyalty.rules.text import check_external_id, tidy_id
from loyalty.rules.zones import correct_locale
from loyalty.services.listing import MAX_EXTERNAL_IDS
from loyalty.storage.customer_lists import CustomerFilter, TimeSpan
from schema.scalars import Locale
from schema.types.time_range import TimeRangeInput, span_of


@strawberry.input(description="Days of the year, both ends included; the turn of the year may lie between.")
class BirthdayRangeInput:
    from_: str = strawberry.field(name="from", description="The first day, such as `--12-20`.")
    to: str = strawberry.field(description="The last day, such as `--01-06`.")


@strawberry.input(description="Which customers; everything that is given must hold.")
class CustomerFilterInput:
    external_ids: list[str] | None = strawberry.field(
        default=None,
        description="Only these ids of the caller's own system: 1 to 100. That of a merged customer finds the target.",
    )
    categories: list[str] | None = strawberry.field(
        default=None, description="Only these categories of the tenant: 1 to 100."
    )
    tags: list[str] | None = strawberry.field(
        default=None, description="Only who has all of these tags, without regard to case: at most 50."
    )
    locale: Locale | None = strawberry.field(
        default=None, description="Only this locale; `de-AT`, `DE-at` and `de_AT` are the same one, `de` is another."
    )
    marketing_consent: bool | None = strawberry.field(
        default=None, description="Only who has agreed to marketing, or who has not."
    )
    birthday: BirthdayRangeInput | None = strawberry.field(
        default=None, description="Only customers with a birthday on these days."
    )
    created: TimeRangeInput | None = strawberry.field(default=None, description="First heard of in this span.")
    last_purchase: TimeRangeInput | None = strawberry.field(
        default=None,
        description="Only customers whose last purchase was first recorded in this span. Customers without a purchase "
        "are left out.",
    )
    archived: bool | None = strawberry.field(
        default=None, description="True for archived customers only; by default they are left out."
    )


def narrow_filter(wanted: CustomerFilter, given: CustomerFilterInput | None) -> CustomerFilter:
    """Return the filter for the input. Refusal: InvalidInput."""
    if given is None:
        return wanted
    refuse_problems(
        [
            *_list_problems("external_ids", given.external_ids),
            *_list_problems("categories", given.categories),
            *validate_tags(given.tags or (), "filter", "tags"),
        ]
    )
    return wanted._replace(
        external_ids=_tidy_ids(given.external_ids),
        categories=_tidy_ids(given.categories),
        tags=tuple(given.tags or ()),
        locale=None if given.locale is None else correct_locale(given.locale),
        marketing_consent=given.marketing_consent,
        birthdays=None if given.birthday is None else (_day(given.birthday, "from_"), _day(given.birthday, "to")),
        archived=bool(given.archived),
        created=None if given.created is None else TimeSpan(*span_of(given.created, "created")),
        last_purchase=None if given.last_purchase is None else TimeSpan(*span_of(given.last_purchase, "last_purchase")),
    )


def _list_problems(name: str, given: Sequence[str] | None) -> list[Problem | None]:
    if given is None:
        return []
    if not 1 <= len(given) <= MAX_EXTERNAL_IDS:
        return [Problem(("filter", name), f"must have between 1 and {MAX_EXTERNAL_IDS} items")]
    return [check_external_id(one, ("filter", name, str(position))) for position, one in enumerate(given)]


def _tidy_ids(given: list[str] | None) -> list[str] | None:
    return None if given is None else [tidy_id(one) for one in given]


def _day(given: BirthdayRangeInput, name: str) -> DayOfYear:
    found = day_of_year(tidy_birthday(getattr(given, name)))
    if found is None:
        raise InvalidInput.one("filter", "birthday", name.rstrip("_"), reason="must be a day such as --05-17")
    return found
