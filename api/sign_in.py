"""Browser sign-in of staff at their own identity provider (OpenID Connect, authorization code with PKCE).

`/sign-in/<tenant>/<provider>` begins a sign-in. Its `/callback` ends it with a session cookie, and `/sign-out` ends the
session. The provider ends sessions at `/back-channel-logout`. Each provider has its own callback, so a code of one
provider is never sent to another (RFC 9700, 4.4).
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import httpx2
import orjson
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from api.authentication import Unauthenticated
from api.errors import RequestRefused, error_response, not_active, page_refused, request_id_of, unavailable
from api.issuer import InvalidToken
from api.oauth import NO_STORE, read_form
from api.oidc_keys import ProviderKeys
from api.pending_sign_in import PENDING_KIND, PendingSignIn, PendingSignIns, SignInPlace
from api.requests import note_actor, note_error
from api.sessions import CROSS_SITE, SESSION_KIND, CookieJar, ForeignPage, StaffSessions, make_session
from api.sign_in_client import (
    NAME,
    ProviderUnfit,
    SignInClient,
    describe_failure,
    find_end_session_url,
    make_client,
    names_itself,
    read_error_code,
)
from api.sign_in_tokens import ProvedPerson, SignInTokens
from loyalty.rules.errors import TenantNotActive
from loyalty.rules.ids import TenantId
from loyalty.rules.sign_in import (
    BACK_CHANNEL,
    CALLBACK,
    SIGN_IN_PATH,
    SIGN_OUT_PATH,
    check_return_path,
)
from loyalty.rules.staff_session import SESSION_LIFETIME, SIGN_IN_SECONDS, SignIn, tidy_user_agent
from loyalty.services.client_secret import open_client_secret
from loyalty.services.oidc_issuer import FoundIssuer, find_provider
from loyalty.services.staff_session import (
    SignedOutMeanwhile,
    end_session,
    end_sessions_by_provider,
    start_session,
)
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeUnreadable
from permissions.actor import Actor
from schema.masking import UNAVAILABLE_MESSAGE, ErrorCode

RETURN_TO = "returnTo"
MAX_ANSWER_LENGTH = 8_192
"""The number of characters that a provider may send back with the browser."""

SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
NOT_A_MEMBER = "NOT_A_MEMBER"
BEGIN_AGAIN = "This sign-in was not begun in this browser, has ended, or took too long. Begin again."
PROVIDER_FAILURES = (OAuthError, InvalidToken, httpx2.HTTPError, ValueError, KeyError, TypeError, RuntimeError)
"""The errors that authlib's client raises for a wrong answer of a provider."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sign_in")


class SignInDoor(NamedTuple):
    """The parts that the addresses need. ``read_standing`` raises `Unauthenticated` for a person who is refused."""

    world: World
    sessions: StaffSessions
    pending: PendingSignIns
    keys: ProviderKeys
    tokens: SignInTokens
    read_standing: Callable[[Actor], Awaitable[Actor]]
    unavailable: tuple[type[Exception], ...]

    @property
    def jar(self) -> CookieJar:
        """The names and settings of cookies."""
        return self.sessions.jar


def sign_in_routes(door: SignInDoor) -> list[Route]:
    """Return the routes of all four addresses."""

    def endpoint(answer: Callable[[SignInDoor, Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return await _serve(door, request, answer)

        return serve

    return [
        Route(SIGN_IN_PATH, endpoint(_begin), methods=["GET"]),
        Route(SIGN_IN_PATH + CALLBACK, endpoint(_finish), methods=["GET"]),
        Route(SIGN_IN_PATH + BACK_CHANNEL, endpoint(_hear_logout), methods=["POST"]),
        Route(SIGN_OUT_PATH, endpoint(_sign_out), methods=["POST"]),
    ]


async def _serve(
    door: SignInDoor, request: Request, answer: Callable[[SignInDoor, Request], Awaitable[Response]]
) -> Response:
    """Answer a request; a refusal becomes JSON. A callback always deletes the cookie of the sign-in."""
    try:
        response = await answer(door, request)
    except RequestRefused as refused:
        response = _tell_refusal(request, refused)
    except TenantNotActive as refused:
        response = _tell_refusal(request, not_active(refused))
    except door.unavailable as error:
        log.warning("signing in cannot be answered", reason=type(error).__name__)
        response = _tell_refusal(request, unavailable(UNAVAILABLE_MESSAGE))
    if request.url.path.endswith(CALLBACK):
        # The cookie is deleted after a failure, too: a state is used once.
        door.jar.delete(response, PENDING_KIND)
    response.headers.update({**NO_STORE, "referrer-policy": "no-referrer"})
    return response


def _tell_refusal(request: Request, refused: RequestRefused) -> Response:
    note_error(request.scope, refused.code)
    return error_response(refused, request_id_of(request))


# ── Begin ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _begin(door: SignInDoor, request: Request) -> Response:
    """Send the browser to the provider."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        # A page of somebody else would sign people in at its own tenant without their knowing.
        raise page_refused(f"Begin to sign in at a page of {door.jar.address.origin}.", CROSS_SITE)
    return_path = _read_return_path(request)
    place, found = await _find_place(door, request)
    client = _make_client(door, found, await _describe_provider(door, found))
    session: dict[str, object] = {}
    request.scope["session"] = session
    response: Response = await client.authorize_redirect(request, door.jar.address.redirect_uri(*place))
    value = door.pending.seal(place, PendingSignIn(session, return_path), door.world.clock())
    door.jar.set(response, PENDING_KIND, value, dt.timedelta(seconds=SIGN_IN_SECONDS))
    return response


def _read_return_path(request: Request) -> str:
    sent = request.query_params.getlist(RETURN_TO)
    path = sent[0] if len(sent) == 1 else "/"
    problem = check_return_path(path, (RETURN_TO,))
    if len(sent) > 1 or problem is not None:
        reason = problem.reason if problem else "must be there once"
        raise RequestRefused(400, ErrorCode.BAD_USER_INPUT, f"{RETURN_TO} {reason}.")
    return path


async def _find_place(door: SignInDoor, request: Request) -> tuple[SignInPlace, FoundIssuer]:
    """Return the provider that the address names. Raises `RequestRefused`.

    The answer is the same for an unknown tenant, an unknown provider, and a provider without a client id.
    """
    tenant, provider = (request.path_params[name] for name in ("tenant", "provider"))
    place = SignInPlace(TenantId(tenant), provider)
    found = await find_provider(door.world, *place)
    if found is None:
        raise RequestRefused(404, ErrorCode.BAD_USER_INPUT, "Nobody signs in at this address.")
    request.scope["state"]["tenant"] = str(place.tenant_id)
    return place, found


async def _describe_provider(door: SignInDoor, found: FoundIssuer) -> Mapping[str, Any]:
    """Return the provider's discovery document. Raises `RequestRefused` if it cannot be read."""
    described = await door.keys.describe(found.row.issuer)
    if described is None:
        raise unavailable("The identity provider cannot be reached. Try again in a moment.")
    return described


def _make_client(door: SignInDoor, found: FoundIssuer, described: Mapping[str, Any]) -> SignInClient:
    try:
        secret = open_client_secret(door.world, found.tenant_id, found.row)
        return make_client(found, described, secret, door.tokens, private=door.world.private_providers)
    except (ProviderUnfit, CodeUnreadable) as unfit:
        log.warning("nobody can sign in at a provider", issuer=found.row.issuer, reason=str(unfit))
        message = "The identity provider does not allow a safe sign-in; the log of the server says why."
        raise RequestRefused(502, ErrorCode.UNAVAILABLE, message) from None


# ── Finish ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _finish(door: SignInDoor, request: Request) -> Response:
    """Read the provider's answer, and begin a session with a new secret."""
    place, found = await _find_place(door, request)
    answer = _read_answer(request)
    pending = _open_pending(door, request, place, answer["state"])
    described = await _describe_provider(door, found)
    _check_issuer(found, answer.get("iss"), promised=names_itself(described))
    if "error" in answer:
        raise _refuse(found, read_error_code(answer["error"]) or "an error of another form")
    client = _make_client(door, found, described)
    proved = await _prove(client, request, found, pending)
    stands = await _find_standing(door, proved.actor)
    state_sha256 = hashlib.sha256(answer["state"].encode()).hexdigest()
    user_agent = tidy_user_agent(request.headers.get("user-agent"))
    sign_in = SignIn(state_sha256, proved.provider_session, proved.issued_at, user_agent)
    new = make_session(place.tenant_id)
    await _end_former(door, request)
    try:
        begun = await start_session(door.world, stands, sign_in, new.sha256)
    except SignedOutMeanwhile:
        raise _refuse(found, "the provider has signed the person out meanwhile") from None
    if begun is None:
        raise RequestRefused(400, ErrorCode.BAD_USER_INPUT, BEGIN_AGAIN)
    note_actor(request.scope, stands)
    response = RedirectResponse(pending.return_path, status_code=303)
    door.jar.set(response, SESSION_KIND, new.cookie, SESSION_LIFETIME)
    return response


def _read_answer(request: Request) -> dict[str, str]:
    """Return the parameters that the provider sent with the browser. Each comes once, and a state is required."""
    pairs = request.query_params.multi_items()
    answer = dict(pairs)
    is_one_answer = ("code" in answer) != ("error" in answer)
    is_whole = len(request.url.query) <= MAX_ANSWER_LENGTH and len(answer) == len(pairs)
    if not is_whole or not is_one_answer or not answer.get("state"):
        raise RequestRefused(400, ErrorCode.BAD_USER_INPUT, BEGIN_AGAIN)
    return answer


def _open_pending(door: SignInDoor, request: Request, place: SignInPlace, state: str) -> PendingSignIn:
    """Return the sign-in that this browser began at this provider with this state.

    Raises `RequestRefused` without one.
    """
    cookie = door.jar.find(request.headers, PENDING_KIND)
    pending = door.pending.open(place, cookie, door.world.clock()) if cookie else None
    begun = f"_state_{NAME}_{state}".encode()
    if pending is None or not any(hmac.compare_digest(begun, key.encode()) for key in pending.session):
        raise RequestRefused(400, ErrorCode.BAD_USER_INPUT, BEGIN_AGAIN)
    return pending


def _check_issuer(found: FoundIssuer, said: str | None, *, promised: bool) -> None:
    """Refuse an answer that names another provider, or none although the provider promises its name (RFC 9207)."""
    if (promised or said is not None) and said != found.row.issuer:
        raise _refuse(found, "the answer names another issuer, or none")


async def _prove(client: SignInClient, request: Request, found: FoundIssuer, pending: PendingSignIn) -> ProvedPerson:
    """Return the person who signed in: authlib's client exchanges the code for an ID token."""
    request.scope["session"] = pending.session
    try:
        await client.authorize_access_token(request)
    except PROVIDER_FAILURES as error:
        raise _refuse(found, describe_failure(error)) from None
    if client.proved is None:
        raise _refuse(found, "the provider sent no ID token")
    return client.proved


async def _find_standing(door: SignInDoor, person: Actor) -> Actor:
    try:
        return await door.read_standing(person)
    except Unauthenticated:
        log.info("somebody without a role signed in", subject=person.subject)
        message = "You are not a member of this team, and have no role in it. Ask an owner or admin to add you."
        raise RequestRefused(403, ErrorCode.FORBIDDEN, message, reason=NOT_A_MEMBER) from None


async def _end_former(door: SignInDoor, request: Request) -> None:
    """End the browser's former session. The new session never gets the former secret."""
    cookie = door.sessions.cookie_of(request.headers)
    former = await door.sessions.find_person(cookie) if cookie else None
    if former is not None and former.session is not None:
        await end_session(door.world, former.tenant_id, former.session.id)


def _refuse(found: FoundIssuer, reason: str) -> RequestRefused:
    log.info("a browser sign-in was refused", issuer=found.row.issuer, reason=reason)
    message = "The identity provider's answer does not let you in. Begin again, or ask who manages your team."
    return RequestRefused(403, ErrorCode.FORBIDDEN, message, reason=SIGN_IN_REFUSED)


# ── End ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _sign_out(door: SignInDoor, request: Request) -> Response:
    """End the session of this browser.

    The answer also names the address where the browser signs out of the provider.
    """
    try:
        door.sessions.refuse_foreign_page(request.headers)
    except ForeignPage as refused:
        raise page_refused(str(refused), CROSS_SITE) from None
    cookie = door.sessions.cookie_of(request.headers)
    person = await door.sessions.find_person(cookie) if cookie else None
    url = None
    if person is not None and person.session is not None:
        await end_session(door.world, person.tenant_id, person.session.id)
        url = await _find_end_session_url(door, person)
    response = Response(orjson.dumps({"endSessionUrl": url}), media_type="application/json")
    door.jar.delete(response, SESSION_KIND)
    return response


async def _find_end_session_url(door: SignInDoor, person: Actor) -> str | None:
    found = await find_provider(door.world, person.tenant_id, person.issuer.id) if person.issuer else None
    if found is None:
        return None
    try:
        described = await _describe_provider(door, found)
        return find_end_session_url(found, described, private=door.world.private_providers)
    except (ProviderUnfit, RequestRefused):
        return None


async def _hear_logout(door: SignInDoor, request: Request) -> Response:
    """End the sessions that a provider's logout token names (OpenID Connect Back-Channel Logout 1.0, section 2.8)."""
    place, found = await _find_place(door, request)
    try:
        parameters = await read_form(request)
        logout = await door.tokens.read_logout_token(found, parameters.get("logout_token", ""))
    except (OAuth2Error, RequestRefused, InvalidToken) as refused:
        log.info("a logout token was refused", issuer=found.row.issuer, reason=str(refused))
        return Response(orjson.dumps({"error": "invalid_request"}), status_code=400, media_type="application/json")
    ended = await end_sessions_by_provider(door.world, place.tenant_id, logout)
    log.info("a provider signed somebody out", issuer=found.row.issuer, ended_count=ended)
    return Response(status_code=200)
