"""Tags of customers: short texts of the team. Two that differ in case or blanks only are the same tag."""

from collections.abc import Iterable, Sequence

from loyalty.rules.errors import Problem
from loyalty.rules.text import check_text, is_storable, tidy_text

TAG_MAX_LENGTH = 50
MAX_TAGS = 50
"""The most tags of one customer."""


def fold_tag(tag: str) -> str:
    """Return a tag in the form in which it is compared."""
    return tidy_text(tidy_tag(tag).casefold())


def tidy_tag(tag: str) -> str:
    """Return a tag with single blanks, composed (NFC)."""
    return tidy_text(" ".join(tag.split())) if is_storable(tag) else tag


def tidy_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return different tags in the order in which they were told. Of equal tags the first is kept."""
    found: dict[str, str] = {}
    for tag in map(tidy_tag, tags):
        found.setdefault(fold_tag(tag) if is_storable(tag) else tag, tag)
    return tuple(found.values())


def validate_tags(tags: Sequence[str], *path: str) -> list[Problem]:
    """Return everything wrong with the tags of one customer."""
    path = path or ("tags",)
    if len(tags) > MAX_TAGS:
        return [Problem(path, f"must have at most {MAX_TAGS} items")]
    checked = (check_text(tag, (*path, str(position)), TAG_MAX_LENGTH) for position, tag in enumerate(tags))
    return [problem for problem in checked if problem is not None]
