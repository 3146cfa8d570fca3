"""Warnings as clients see them: values of an input that were left out or corrected."""

from collections.abc import Iterable
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.warning import InputWarning, WarningCode


@strawberry.type(
    name="Warning",
    description="A value that was left out or corrected without harm; all the rest was taken as it was sent.",
)
class ShownWarning:
    code: WarningCode = strawberry.field(description="What became of the value. More codes may come.")
    message: str = strawberry.field(description="A sentence for a developer, in English.")
    path: list[str] = strawberry.field(description="The field, from the input downwards.")


Warnings = list[ShownWarning]


def warnings_field() -> Any:
    """Declare ``warnings``."""
    return strawberry.field(
        default_factory=list,
        description="What was left out or corrected in the input without harm; a replay says the same again.",
    )


def show_warnings(warnings: Iterable[InputWarning]) -> Warnings:
    """Return warnings as clients see them."""
    shown = []
    for code, path, reason in warnings:
        names = [to_camel_case(part) for part in path]
        shown.append(ShownWarning(code=code, message=f"{'.'.join(names)} {reason}.", path=names))
    return shown
