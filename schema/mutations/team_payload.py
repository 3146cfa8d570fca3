"""Fields that the mutations about members and roles share: the credentials that end because a person may do less."""

from collections.abc import Mapping
from typing import Any

import strawberry

from loyalty.services.team import EndedCredentials


def keep_credentials_field() -> Any:
    """Declare ``keepCredentials``."""
    return strawberry.field(
        default=False,
        description="Whether API tokens and OAuth clients whose secrets the person knows go on working although they "
        "may do more than the person now. By default they end.",
    )


def ended_api_tokens_field() -> Any:
    """Declare ``endedApiTokens``."""
    return strawberry.field(
        default=None,
        description="API tokens that ended now: their secrets are known to somebody who may do less, or they were made "
        "with such a token.",
    )


def ended_oauth_clients_field() -> Any:
    """Declare ``endedOauthClients``."""
    return strawberry.field(default=None, description="OAuth clients that ended now, for the same reason.")


def show_ended(ended: EndedCredentials) -> Mapping[str, Any]:
    """Return what `endedApiTokens` and `endedOauthClients` of a payload show."""
    return {"ended_api_tokens": ended.api_tokens, "ended_oauth_clients": ended.oauth_clients}
