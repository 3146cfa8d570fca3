"""The profile of a customer as a business tells it, and its validation."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from loyalty.rules.birthday import check_birthday, check_birthday_is_past, tidy_birthday
from loyalty.rules.errors import Problem
from loyalty.rules.identifier import Identifier, tidy_identifier, validate_identifiers
from loyalty.rules.tag import tidy_tags, validate_tags
from loyalty.rules.text import check_external_id, check_text, is_storable, tidy_text
from loyalty.rules.warning import InputWarning, WarningCode
from loyalty.rules.zones import correct_locale, is_locale

FULL_NAME_MAX_LENGTH = 200
EMAIL_MAX_LENGTH = 254
"""The longest address a mail path can carry (RFC 5321, section 4.5.3.1.3, less its brackets)."""
AVATAR_URL_MAX_LENGTH = 2_000
CONSENT_SOURCE_MAX_LENGTH = 100
ERASED_PREFIX = "erased:"
"""The prefix of the external ids of erased customers. No other customer may have it."""
MAX_AHEAD = timedelta(hours=1)
"""The longest time that a caller's clock may be ahead of ours."""

DAY = timedelta(days=1)

_PHONE = re.compile(r"\+?[0-9]{3,19}", re.ASCII)
_SIGNS_OF_NUMBERS = re.compile(r"[-\s()/.]")
_TRUNK_ZERO = re.compile(r"^(\s*(?:\+|00)[\d\s]{1,4}?)\(0\)")
"""The zero in brackets after a country code is dialled within the country only: +49 (0)30 12345 is +493012345."""


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A customer, named by the external id of the caller's system. None means "not told": the stored value stays."""

    external_id: str
    full_name: str | None = None
    email: str | None = None
    avatar_url: str | None = None
    locale: str | None = None
    category: str | None = None
    marketing_consent: bool | None = None
    phone: str | None = None
    """Digits, with + and the country code if the caller knows it."""
    consent_source: str | None = None
    """Where the consent was given or withdrawn, in the caller's words."""
    birthday: str | None = None
    """A date such as `1990-05-17`, or without the year `--05-17`."""
    identifiers: tuple[Identifier, ...] | None = None
    """Card numbers and the like. If told, they replace all known identifiers."""
    tags: tuple[str, ...] | None = None
    """Tags of the team. If told, they replace all known tags."""
    cleared: frozenset[str] = frozenset()
    """Fields that are told to have no value: their stored values are removed."""
    as_of: datetime | None = None
    """When the told values became true; None for the time of the call."""

    def list_told_values(self) -> dict[str, Any]:
        """Return the told values, by field. The value of a field to clear is None."""
        said = {name: value for name in TOLD_FIELDS if (value := getattr(self, name)) is not None}
        return said | dict.fromkeys(self.cleared & set(CLEARABLE_FIELDS))


TOLD_FIELDS = (
    *("full_name", "email", "avatar_url", "locale", "category", "phone", "marketing_consent"),
    *("birthday", "identifiers", "tags"),
)
"""The fields that can be told of a customer. Each has a time: an older value never overwrites a newer one."""

CLEARABLE_FIELDS = (
    *("full_name", "email", "avatar_url", "locale", "category", "phone"),
    *("birthday", "identifiers", "tags"),
)
"""The fields that null clears. A consent is withdrawn with false, not cleared."""


class KnownFacts(NamedTuple):
    """The values told of a customer by several profiles, and the time of each value."""

    values: dict[str, Any]
    times: dict[str, datetime]


def gather_profiles(profiles: Iterable[CustomerProfile], now: datetime) -> dict[str, KnownFacts]:
    """Return the values that profiles tell together, by external id.

    For each field the newest value counts; of equally old values the last one in order.
    """
    gathered: dict[str, KnownFacts] = {}
    for profile in profiles:
        known = gathered.setdefault(profile.external_id, KnownFacts({}, {}))
        at = min(profile.as_of or now, now)
        for name, value in profile.list_told_values().items():
            if name not in known.times or known.times[name] <= at:
                known.values[name], known.times[name] = value, at
                if name == "marketing_consent":
                    known.values["consent_source"] = profile.consent_source
    return gathered


class TidyProfile(NamedTuple):
    """A profile that can be stored, and warnings for each value that was left out or corrected."""

    profile: CustomerProfile
    warnings: list[InputWarning]


DESCRIPTIVE_FIELDS = (
    *("full_name", "email", "avatar_url", "locale", "category", "phone", "consent_source"),
    "birthday",
)
"""The fields that only describe a customer. A wrong value there must not refuse a purchase or points."""


def tidy_profile(profile: CustomerProfile) -> TidyProfile:
    """Return a profile without descriptive values that cannot be stored, and with the others in their usual form.

    Blanks round texts are removed, letters are composed (NFC), e-mail addresses get small letters, `de_de` becomes
    `de-DE`. A wrong external id stays: without it nobody knows which customer is meant.
    """
    changes: dict[str, Any] = {}
    warnings: list[InputWarning] = []
    for name in ("external_id", *DESCRIPTIVE_FIELDS):
        told = getattr(profile, name)
        if told is not None and (kept := _tidy_value(name, told)) != told:
            changes[name] = kept
            warnings.append(InputWarning(WarningCode.CORRECTED, (name,), f"was taken as {kept!r}"))
    if profile.identifiers is not None:
        changes["identifiers"] = tuple(map(tidy_identifier, profile.identifiers))
    if profile.tags is not None:
        changes["tags"] = tidy_tags(profile.tags)
    tidy = replace(profile, **changes) if changes else profile
    wrong = {path[0]: reason for path, reason in validate_profile(tidy) if path[0] in DESCRIPTIVE_FIELDS}
    if not wrong:
        return TidyProfile(tidy, warnings)
    warnings = [warning for warning in warnings if warning.path[0] not in wrong]
    warnings += [InputWarning(WarningCode.LEFT_OUT, (name,), f"was left out: {why}") for name, why in wrong.items()]
    absent: dict[str, Any] = dict.fromkeys(wrong)
    return TidyProfile(replace(tidy, **absent), warnings)


def _tidy_value(name: str, told: str) -> str:
    """Return a told text in the usual form of its field."""
    if not is_storable(told):
        return told
    text = tidy_text(told)
    if name == "phone":
        return tidy_phone(text)
    if name == "birthday":
        return tidy_birthday(text)
    if name == "email":
        return text.lower()
    return correct_locale(text) or text if name == "locale" else text


def tidy_phone(told: str) -> str:
    """Return a telephone number without signs between its digits; a leading `00` becomes `+`.

    A zero in brackets after the country code is removed too.
    """
    digits = _SIGNS_OF_NUMBERS.sub("", _TRUNK_ZERO.sub(r"\1", told))
    return f"+{digits[2:]}" if digits.startswith("00") else digits


def validate_times(profile: CustomerProfile, now: datetime) -> list[Problem]:
    """Return what is wrong with the times of a profile.

    `as_of` must not be more than an hour in the future, a birthday not in the future.
    """
    problems = []
    if profile.as_of is not None and profile.as_of > now + MAX_AHEAD:
        problems.append(Problem(("as_of",), "must not be more than an hour ahead of the clock"))
    # In the east of the world it is tomorrow already.
    if profile.birthday is not None and (wrong := check_birthday_is_past(profile.birthday, (now + DAY).date())):
        problems.append(wrong)
    return problems


def validate_profile(profile: CustomerProfile) -> list[Problem]:
    """Return everything wrong with a profile.

    The name has up to 200 characters, the e-mail address up to 254 with one @, the avatar is an http(s) address, the
    locale follows BCP 47, the category is an external id, the birthday follows RFC 6350, identifiers and tags keep
    their limits.
    """
    return [
        *(problem for problem in _profile_problems(profile) if problem is not None),
        *validate_identifiers(profile.identifiers or ()),
        *validate_tags(profile.tags or ()),
    ]


def _profile_problems(profile: CustomerProfile) -> Iterator[Problem | None]:
    """Yield the problems of a profile's single values, and None for checks that find none."""
    yield check_external_id(profile.external_id, ("external_id",))
    if profile.external_id.startswith(ERASED_PREFIX):
        yield Problem(("external_id",), f"must not begin with {ERASED_PREFIX}, which erased customers have")
    if profile.full_name is not None:
        yield check_text(profile.full_name, ("full_name",), FULL_NAME_MAX_LENGTH)
    if profile.email is not None:
        yield _check_email(profile.email)
    if profile.avatar_url is not None:
        yield _check_avatar_url(profile.avatar_url)
    if profile.locale is not None and not is_locale(profile.locale):
        yield Problem(("locale",), "must be a language tag such as de-AT")
    if profile.category is not None:
        yield check_external_id(profile.category, ("category",))
    if profile.phone is not None and not _PHONE.fullmatch(profile.phone):
        yield Problem(("phone",), "must be a telephone number of 3 to 19 digits, such as +4930123456")
    if profile.birthday is not None:
        yield check_birthday(profile.birthday)
    if profile.consent_source is not None:
        yield check_text(profile.consent_source, ("consent_source",), CONSENT_SOURCE_MAX_LENGTH)


def _check_email(email: str) -> Problem | None:
    problem = check_text(email, ("email",), EMAIL_MAX_LENGTH)
    local, _, domain = email.rpartition("@")
    if problem is None and not (local and domain and not any(character.isspace() for character in email)):
        return Problem(("email",), "must be an e-mail address")
    return problem


def _check_avatar_url(url: str) -> Problem | None:
    problem = check_text(url, ("avatar_url",), AVATAR_URL_MAX_LENGTH)
    if problem is None and not url.startswith(("https://", "http://")):
        return Problem(("avatar_url",), "must begin with https:// or http://")
    return problem
