"""What the way out of a provider takes from its discovery document."""

from datetime import UTC, datetime
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from api.sign_in_client import ProviderUnfit, find_end_session_url
from loyalty.rules.ids import TenantId
from loyalty.services.oidc_issuer import FoundIssuer
from loyalty.storage.oidc_issuers import OidcIssuerRow

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FOUND = FoundIssuer(
    TenantId(uuid7()),
    OidcIssuerRow(
        id=uuid7(),
        issuer="https://login.example",
        audience="console",
        role_claim="roles",
        roles=[],
        version=1,
        created_at=NOW,
        changed_at=NOW,
        changed_by="staff:owner",
        made_with="staff:owner",
        removed_at=None,
        client_id="the console",
        client_secret=b"sealed by a key that is gone",
    ),
)


@pytest.mark.parametrize(
    ("described", "url"),
    [
        ({}, None),
        ({"end_session_endpoint": None}, None),
        ({"end_session_endpoint": "https://login.example/out"}, "https://login.example/out?client_id=the+console"),
        (
            {"end_session_endpoint": "https://login.example/out?theme=dark"},
            "https://login.example/out?theme=dark&client_id=the+console",
        ),
        # Nobody could sign in here; who is in can still sign out.
        (
            {"code_challenge_methods_supported": ["plain"], "end_session_endpoint": "https://login.example/out"},
            "https://login.example/out?client_id=the+console",
        ),
    ],
)
def test_signing_out_needs_one_address_and_no_secret(described: dict[str, Any], url: str | None) -> None:
    """Whatever else the document says, and whether or not the secret of the application can be opened."""
    assert find_end_session_url(FOUND, described, private=False) == url


@pytest.mark.parametrize("address", ["http://login.example/out", "javascript:alert(1)", "https://127.0.0.1/out", 7])
def test_an_address_that_is_not_called_is_told_to_nobody(address: object) -> None:
    with pytest.raises(ProviderUnfit):
        find_end_session_url(FOUND, {"end_session_endpoint": address}, private=False)
