"""The payload of each kind of event in each version: what a release has written stays as it is.

``python -m tests.loyalty.rules.payloads`` adds the payloads of kinds and versions that the file does not have yet. It
never changes one: a payload that is another than the file says needs a higher version.
"""

import json
import sys
import types
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from loyalty.rules.event_codec import EVENT_CLASSES, AnyEvent, CustomerThen, TierThen, encode_payload
from loyalty.rules.ids import TierId

FILE = Path(__file__).with_name("event_payloads.json")
THEN = CustomerThen(
    account={"available": 70, "pending": 6, "held": 5, "debt": 0, "lifetime_earned": 90, "qualifying": 80},
    locale="de",
    tier=TierThen(TierId(UUID(int=1_000)), "Silver"),
)
TEXTS = {"currency": "EUR", "expires_at": "2026-03-31T22:00:00+00:00"}

Payloads = dict[str, dict[str, dict[str, Any]]]
"""Kind, version, payload."""


def make_sample(known: type[AnyEvent]) -> AnyEvent:
    """Return an event of a class in which every field has a value, the same in every process."""
    hints = get_type_hints(known)
    numbered = enumerate(fields(known), start=1)
    return known(**{field.name: _make_value(hints[field.name], field.name, number) for number, field in numbered})


def _make_value(kind: Any, name: str, number: int) -> Any:
    """Return a value for a field, from its type, its name and its number."""
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (one for one in get_args(kind) if one is not types.NoneType)
    kind = getattr(kind, "__supertype__", kind)
    if issubclass(kind, Enum):
        return next(iter(kind))
    if kind is str:
        return TEXTS.get(name, f"a {name}")
    if kind is UUID:
        return UUID(int=number)
    return kind(number)


def encode_samples() -> dict[str, dict[str, Any]]:
    """Return the payload of a sample of each kind, as this code writes it."""
    return {kind: encode_payload(make_sample(known), THEN) for kind, known in EVENT_CLASSES.items()}


def read_payloads() -> Payloads:
    """Return what releases have written."""
    found: Payloads = json.loads(FILE.read_text("utf-8"))
    return found


def find_changed(kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the kinds whose payload is another than the file has for the same version."""
    return [
        kind
        for kind, payload in encode_samples().items()
        if kept.get(kind, {}).get(str(payload["version"]), payload) != payload
    ]


def main() -> None:
    """Add the payloads that the file lacks."""
    kept = read_payloads()
    changed = find_changed(kept)
    if changed:
        sys.exit(f"raise the version of {', '.join(changed)}: their payloads have changed")
    for kind, payload in encode_samples().items():
        kept.setdefault(kind, {}).setdefault(str(payload["version"]), payload)
    FILE.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
