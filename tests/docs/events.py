"""The payloads of events, read from the code and from what releases have written.

``python -m tests.docs.events`` writes the tables of docs/reference/events.md again.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.event_codec import EVENT_CLASSES, AnyEvent
from schema.types.event_payload import NODE_OF_MEMBER
from tests.docs.pages import REFERENCE, write_tables
from tests.loyalty.rules.payloads import read_payloads

PAGE = REFERENCE / "events.md"
PLAIN = {int: "whole number", str: "text", bool: "true or false", UUID: "UUID"}


def tables() -> str:
    """Return the tables as Markdown."""
    kept = read_payloads()
    return "\n\n".join("\n".join(_table(known, kept[kind])) for kind, known in EVENT_CLASSES.items())


def _table(known: type[AnyEvent], versions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table of one event: each member, its value, and since which version it is there."""
    yield f"### `{known.kind.value}`, version {known.version}"
    yield ""
    yield known.kind.description
    yield ""
    yield from ("| member | value | since version |", "| --- | --- | --- |")
    hints = get_type_hints(known)
    for field in fields(known):
        first = min(int(version) for version, payload in versions.items() if field.name in payload)
        yield f"| `{to_camel_case(field.name)}` | {_describe(hints[field.name], field.name)} | {first} |"


def _describe(kind: Any, name: str) -> str:
    """Return a text for the value of a member."""
    if get_origin(kind) in (Union, types.UnionType):
        (some,) = (one for one in get_args(kind) if one is not types.NoneType)
        return f"{_describe(some, name)}, or null"
    kind = getattr(kind, "__supertype__", kind)
    if name in NODE_OF_MEMBER:
        return f"global id of `{NODE_OF_MEMBER[name]}`"
    return f"`{kind.__name__}`" if issubclass(kind, Enum) else PLAIN[kind]


if __name__ == "__main__":
    write_tables(PAGE, tables())
