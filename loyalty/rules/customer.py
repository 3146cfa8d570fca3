"""What a business tells about a customer, and what makes it valid."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

from loyalty.rules.errors import Problem
from loyalty.rules.text import check_external_id, check_text, is_storable, tidy_text
from loyalty.rules.warning import InputWarning, WarningCode
from loyalty.rules.zones import correct_locale, is_locale

FULL_NAME_MAX_LENGTH = 200
EMAIL_MAX_LENGTH = 254
"""The longest address a mail path can carry (RFC 5321, section 4.5.3.1.3, less its brackets)."""
AVATAR_URL_MAX_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """A customer by the external id of the caller's system. None means "not said" and leaves what is stored."""

    external_id: str
    full_name: str | None = None
    email: str | None = None
    avatar_url: str | None = None
    locale: str | None = None
    category: str | None = None
    marketing_consent: bool | None = None

    def over(self, earlier: "CustomerProfile | None") -> Self:
        """Return this profile with what it leaves unsaid taken from an earlier one of the same customer."""
        if earlier is None:
            return self
        said = {item.name: getattr(self, item.name) for item in fields(self)}
        return type(self)(**{name: getattr(earlier, name) if value is None else value for name, value in said.items()})


class TidyProfile(NamedTuple):
    """A profile that can be stored, and what was left out or corrected for that."""

    profile: CustomerProfile
    warnings: list[InputWarning]


DESCRIPTIVE_FIELDS = ("full_name", "email", "avatar_url", "locale", "category")
"""What only describes a customer: none of it may cost a purchase or points."""


def tidy_profile(profile: CustomerProfile) -> TidyProfile:
    """Return a profile without values that cannot be stored, and with the others in their usual form.

    Blanks round texts go, letters are composed (NFC), `de_DE` becomes `de-DE`. What is wrong with the external id
    stays: without it nobody knows whose facts these are.
    """
    changes: dict[str, Any] = {}
    warnings: list[InputWarning] = []
    for name in ("external_id", *DESCRIPTIVE_FIELDS):
        told = getattr(profile, name)
        if told is not None and (kept := _tidy(name, told)) != told:
            changes[name] = kept
            warnings.append(InputWarning(WarningCode.CORRECTED, (name,), f"was taken as {kept!r}"))
    tidy = replace(profile, **changes) if changes else profile
    wrong = {path[0]: reason for path, reason in validate_profile(tidy) if path[0] in DESCRIPTIVE_FIELDS}
    if not wrong:
        return TidyProfile(tidy, warnings)
    warnings = [warning for warning in warnings if warning.path[0] not in wrong]
    warnings += [InputWarning(WarningCode.LEFT_OUT, (name,), f"was left out: {why}") for name, why in wrong.items()]
    absent: dict[str, Any] = dict.fromkeys(wrong)
    return TidyProfile(replace(tidy, **absent), warnings)


def _tidy(name: str, told: str) -> str:
    if not is_storable(told):
        return told
    text = tidy_text(told)
    return text if name != "locale" or is_locale(text) else correct_locale(text) or text


def validate_profile(profile: CustomerProfile) -> list[Problem]:
    """Return everything wrong with a profile.

    Name up to 200 characters, e-mail up to 254 with one @, avatar an http(s) address, locale by BCP 47, category an
    external id.
    """
    return [problem for problem in _profile_problems(profile) if problem is not None]


def _profile_problems(profile: CustomerProfile) -> Iterator[Problem | None]:
    yield check_external_id(profile.external_id, ("external_id",))
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
