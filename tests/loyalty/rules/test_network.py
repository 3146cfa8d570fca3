"""Networks in CIDR form: read strictly, compared by what they hold."""

import pytest

from loyalty.rules.errors import Problem
from loyalty.rules.network import MAX_NETWORKS, are_within, is_within, read_networks

PATH = ("networks",)


def test_networks_are_kept_in_one_spelling_and_once() -> None:
    texts = ["203.0.113.0/24", "198.51.100.7", "2001:DB8:0::/48", "2001:db8::/48"]
    assert read_networks(texts, PATH) == ("203.0.113.0/24", "198.51.100.7/32", "2001:db8::/48")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "everywhere", "203.0.113.1/24", "203.0.113.0/33", "203.0.113.0/-1", "203.0.113.0/255.255.255.0/24"),
        *(
            "203.0.113",
            "0203.0.113.0/24",
            "203.0.113.0/24 ",
            "٢٠٣.0.113.0/24",
            "fe80::1%eth0/128",
            "::ffff:1.2.3.4/128",
        ),
        *("2001:db8::1/48", "2001:db8::/129", "2001:db8::/48" + " " * 60),
    ],
)
def test_an_invalid_network_is_refused_with_its_path(text: str) -> None:
    found = read_networks(["203.0.113.0/24", text], PATH)
    assert isinstance(found, Problem)
    assert found.path == ("networks", "1")


@pytest.mark.parametrize("count", [0, MAX_NETWORKS + 1])
def test_none_and_too_many_are_refused(count: int) -> None:
    found = read_networks([f"203.0.113.{number}" for number in range(count)], PATH)
    assert isinstance(found, Problem)
    assert found.path == PATH


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        *(("203.0.113.0", True), ("203.0.113.255", True), ("::ffff:203.0.113.9", True), ("2001:db8::9", True)),
        *(("203.0.114.0", False), ("2001:db9::", False), (None, False), ("", False), ("unix", False), ("203.0", False)),
    ],
)
def test_an_address_is_inside_or_not(address: str | None, inside: bool) -> None:  # noqa: FBT001 - a column of a table
    assert is_within(address, ["203.0.113.0/24", "2001:db8::/48"]) == inside


def test_networks_lie_within_wider_ones() -> None:
    wider = ("203.0.113.0/24", "2001:db8::/32")
    assert are_within(("203.0.113.128/25", "2001:db8:1::/48"), wider)
    assert not are_within(("203.0.112.0/23",), wider)
    assert not are_within(("203.0.113.0/25", "198.51.100.0/24"), wider)
    assert not are_within(("::/0",), ("0.0.0.0/0",))
