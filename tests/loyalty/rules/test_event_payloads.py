"""The payloads of every version that a release has written: they stay as they are, and are read for ever."""

from dataclasses import MISSING, fields
from typing import Any

import pytest

from loyalty.rules.event_codec import (
    EVENT_CLASSES,
    FIRST_VERSION,
    CustomerThen,
    UnreadableEvent,
    decode_customer,
    decode_event,
    read_version,
)
from tests.loyalty.rules.payloads import THEN, encode_samples, find_changed, make_sample, read_payloads

PAYLOADS = read_payloads()
KEPT = [(kind, int(version)) for kind in sorted(PAYLOADS) for version in sorted(PAYLOADS[kind], key=int)]


def test_what_is_written_today_is_in_the_file() -> None:
    assert find_changed(PAYLOADS) == [], "raise the version of these kinds, see CONTRIBUTING"
    written = {(kind, payload["version"]) for kind, payload in encode_samples().items()}
    assert written - set(KEPT) == set(), "make events"


def test_the_file_has_every_version_of_every_kind() -> None:
    assert [(kind, n) for kind in sorted(EVENT_CLASSES) for n in range(1, EVENT_CLASSES[kind].version + 1)] == KEPT


def test_a_change_without_a_new_version_would_be_seen() -> None:
    today = encode_samples()["points.earned"]
    former = {"points.earned": {str(today["version"]): today | {"points": "many"}}}
    assert find_changed(former) == ["points.earned"]


@pytest.mark.parametrize(("kind", "version"), KEPT)
def test_a_payload_of_each_version_is_read(kind: str, version: int) -> None:
    """What its version does not have is what the class says for it."""
    payload, known = PAYLOADS[kind][str(version)], EVENT_CLASSES[kind]
    assert read_version(payload) == version
    sample, event = make_sample(known), decode_event(kind, payload)
    for field in fields(known):
        expected = getattr(sample, field.name) if field.name in payload else field.default
        assert expected is not MISSING
        assert getattr(event, field.name) == expected
    assert decode_customer(payload) == CustomerThen(
        THEN.account, "de", THEN.tier if "customer_tier" in payload else None
    )


@pytest.mark.parametrize(("kind", "version"), [one for one in KEPT if one[1] > FIRST_VERSION])
def test_a_version_has_all_members_of_the_one_before_with_the_same_values(kind: str, version: int) -> None:
    """A reader of an earlier version reads a later one."""
    before = PAYLOADS[kind][str(version - 1)]
    after = PAYLOADS[kind][str(version)]
    assert {name: after.get(name) for name in before if name != "version"} == {
        name: value for name, value in before.items() if name != "version"
    }
    assert after.keys() > before.keys() - {"version"}


@pytest.mark.parametrize("version", ["2", 1.0, True, None])
def test_a_version_that_is_no_number_is_not_guessed(version: Any) -> None:
    payload = encode_samples()["points.earned"] | {"version": version}
    with pytest.raises(UnreadableEvent, match=r"points\.earned"):
        decode_event("points.earned", payload)


def test_a_payload_of_a_newer_release_is_read_as_far_as_it_is_known() -> None:
    """While servers are replaced, those of the former release read on."""
    payload = encode_samples()["tier.upgraded"] | {"version": 9, "badge": "gold.svg"}
    assert decode_event("tier.upgraded", payload) == make_sample(EVENT_CLASSES["tier.upgraded"])
    assert read_version(payload) == 9
