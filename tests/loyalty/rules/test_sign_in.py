"""Addresses of browser sign-in, and the paths it leads back to."""

import uuid

import pytest

from loyalty.rules.ids import TenantId
from loyalty.rules.sign_in import RETURN_PATH_MAX_LENGTH, check_return_path, read_sign_in_address

TENANT, PROVIDER = TenantId(uuid.UUID(int=1)), uuid.UUID(int=2)


@pytest.mark.parametrize(
    ("public_url", "origin", "is_secure"),
    [
        ("https://points.example", "https://points.example", True),
        ("https://Points.Example:443/", "https://points.example", True),
        ("https://points.example:8443", "https://points.example:8443", True),
        ("http://127.0.0.1:8321", "http://127.0.0.1:8321", False),
        ("http://localhost:8321", "http://localhost:8321", False),
        ("http://[::1]:8321", "http://[::1]:8321", False),
    ],
)
def test_an_address_is_told_as_browsers_write_it(public_url: str, origin: str, *, is_secure: bool) -> None:
    address = read_sign_in_address(public_url)
    assert address is not None
    assert (address.origin, address.is_secure) == (origin, is_secure)
    assert address.redirect_uri(TENANT, PROVIDER) == f"{origin}/sign-in/{TENANT}/{PROVIDER}/callback"
    logout = f"{origin}/sign-in/{TENANT}/{PROVIDER}/back-channel-logout"
    assert address.back_channel_logout_uri(TENANT, PROVIDER) == logout


@pytest.mark.parametrize(
    "public_url",
    ["", "http://points.example", "http://10.0.0.1", "points.example", "https://", "http://localhost.evil.example"],
)
def test_nobody_signs_in_without_an_address_or_in_plain_text_over_a_network(public_url: str) -> None:
    assert read_sign_in_address(public_url) is None


@pytest.mark.parametrize(
    "path",
    ["/", "/console", "/console/", "/a/b.c", "/a?x=1&y=%2F%2Fevil.example", "/a#b/c?d", "/@me", "/...", "/.a", "/a..b"],
)
def test_a_path_of_the_service_is_taken(path: str) -> None:
    assert check_return_path(path, ("returnTo",)) is None


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "//a", "///a", "/\\a", "\\a", "/a\\b", "/a//b", "/.", "/..", "/a/..", "/a/../b", "/./a", "/..?x"),
        *("/%2fa", "/%5Ca", "/%00", "/%", "/a%2f%2fb", "/a b", "/a\tb", "/a\nb", "/a\0", "/ä", "/a?\\", "/a#\n"),
        *("https://a", "https:a", "javascript:a", "?a", "#a", " /a", "/a ", "/" + "x" * RETURN_PATH_MAX_LENGTH),
    ],
)
def test_every_other_path_is_refused(path: str) -> None:
    problem = check_return_path(path, ("returnTo",))
    assert problem is not None
    assert problem.path == ("returnTo",)
