"""Mask errors: every top-level error gets one of ten codes and the request id. Others become INTERNAL.

An error that is no refusal is a bug. It is logged once, with the request id and the place in the answer, but never with
the document or its variables: they may hold personal data or forged log lines.
"""

import enum
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import structlog
from graphql import FieldNode, GraphQLError
from strawberry.exceptions import MissingQueryError, StrawberryInputCoercionError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.errors import (
    AmbiguousCustomer,
    FeatureDisabled,
    InvalidInput,
    LoyaltyError,
    NotEntitled,
    PermissionDenied,
    TenantNotActive,
)
from loyalty.rules.gift_card_errors import TooManyWrongCodes
from schema.node_ids import encode_id

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.graphql")

MAX_MESSAGE_LENGTH = 500
MAX_ERRORS = 10
"""The number of top-level errors in one answer. If all 100 entries of a page fail, more errors tell nothing new."""


class ErrorCode(enum.StrEnum):
    """`extensions.code` of a top-level error."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    FEATURE_DISABLED = "FEATURE_DISABLED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    RATE_LIMITED = "RATE_LIMITED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


INTERNAL_MESSAGE = "Something went wrong on our side. Quote the request id when you report it."
UNAVAILABLE_MESSAGE = "The service cannot answer at the moment. Try again shortly."
_ABORTED_MESSAGES = frozenset({"Validation aborted.", "Variable values are nested too deeply."})
"""The messages without a place with which graphql-core gives up a document or its variables."""

_TOO_MANY_WRONG_VALUES = "Too many errors processing variables, error limit reached. Execution aborted."
_REQUEST_EXCEPTIONS = (CannotGetOperationTypeError, InvalidOperationTypeError, MissingQueryError)
_CODES = frozenset(ErrorCode)


READER_TOO_SLOW = "READER_TOO_SLOW"
"""`extensions.reason` of the error for `ReaderTooSlow`."""

RESUME = "RESUME"
"""`extensions.reason` of a passing error that ends a subscription: subscribe again with `after`."""

RETRY_AFTER_SECONDS = 1
"""The whole seconds that a caller should wait after UNAVAILABLE before it tries again."""


class _Shown(NamedTuple):
    """The parts of an error that a caller sees."""

    code: ErrorCode
    message: str
    details: Mapping[str, object] = MappingProxyType({})


class ReaderTooSlow(Exception):
    """A subscription cannot keep up with its events.

    Raising it in a subscription resolver ends the subscription with advice to resume with `after`; over a WebSocket it
    closes the socket with code 4290.
    """

    message = "The reader is too slow. Subscribe again with `after` set to the last cursor you received."

    def __init__(self) -> None:
        super().__init__(self.message)


class FeedEnded(Exception):
    """The process stops, so a subscription gets no more events from it. The reader resumes at another process."""

    message = "The server restarts. Subscribe again with `after` set to the last cursor you received."

    def __init__(self) -> None:
        super().__init__(self.message)


def refusal(code: ErrorCode, message: str, **details: object) -> GraphQLError:
    """Return a top-level error that a caller may see; `details` are added to its extensions."""
    return GraphQLError(message, extensions={"code": code.value, **details})


def mask_errors(
    errors: Sequence[GraphQLError],
    request_id: str,
    unavailable: tuple[type[Exception], ...] = (),
    *,
    before_execution: bool = False,
) -> list[GraphQLError]:
    """Return new errors that are safe to show, in the same order and at most `MAX_ERRORS`.

    `before_execution` says that parsing or validating failed, so no resolver can have raised an error. `unavailable`
    are the exceptions that mean "not now" (the database cannot be reached). The given errors are not changed:
    validation errors are cached and shared by many requests.
    """
    masked = []
    for error in errors[:MAX_ERRORS]:
        shown = _classify(error, unavailable, before_execution=before_execution)
        if shown.code is ErrorCode.INTERNAL:
            _log_bug(error, request_id)
        masked.append(_mask_error(error, shown, request_id))
    return masked


def retry_hint(code: ErrorCode) -> dict[str, int]:
    """Return the extensions of a passing error: the seconds to wait before a new attempt."""
    return {"retryAfterSeconds": RETRY_AFTER_SECONDS} if code is ErrorCode.UNAVAILABLE else {}


def _mask_error(error: GraphQLError, shown: _Shown, request_id: str) -> GraphQLError:
    return GraphQLError(
        shown.message[:MAX_MESSAGE_LENGTH],
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**retry_hint(shown.code), **shown.details, "code": shown.code.value, "requestId": request_id},
    )


def _classify(error: GraphQLError, unavailable: tuple[type[Exception], ...], *, before_execution: bool) -> _Shown:
    """Return what a caller may see of an error: its code, message and details."""
    cause = root_cause(error)
    if isinstance(cause, LoyaltyError):
        return _classify_refusal(cause)
    if isinstance(cause, ReaderTooSlow):
        return _Shown(ErrorCode.UNAVAILABLE, cause.message, {"reason": READER_TOO_SLOW})
    if isinstance(cause, FeedEnded):
        return _Shown(ErrorCode.UNAVAILABLE, cause.message, {"reason": RESUME})
    if cause is not None and isinstance(cause, unavailable):
        return _Shown(ErrorCode.UNAVAILABLE, UNAVAILABLE_MESSAGE)
    return _find_declared_code(error) or _classify_other(
        error, about_the_request=_is_about_the_request(error, cause, before_execution)
    )


def _classify_other(error: GraphQLError, *, about_the_request: bool) -> _Shown:
    if not about_the_request:
        return _Shown(ErrorCode.INTERNAL, INTERNAL_MESSAGE)
    if error.message in _ABORTED_MESSAGES:
        return _Shown(ErrorCode.QUERY_TOO_COMPLEX, error.message)
    return _Shown(ErrorCode.BAD_USER_INPUT, error.message)


def _classify_refusal(cause: LoyaltyError) -> _Shown:
    """Return what a caller may see of a refusal outside of ``userErrors``."""
    if isinstance(cause, PermissionDenied | TenantNotActive):
        reason = {} if isinstance(cause, PermissionDenied) else {"reason": cause.code}
        return _Shown(ErrorCode.FORBIDDEN, cause.message, reason)
    if isinstance(cause, FeatureDisabled | NotEntitled):
        reason = {} if isinstance(cause, FeatureDisabled) else {"reason": cause.code}
        return _Shown(ErrorCode.FEATURE_DISABLED, cause.message, reason)
    if isinstance(cause, InvalidInput):
        return _classify_invalid_input(cause)
    if isinstance(cause, TooManyWrongCodes):
        return _Shown(
            ErrorCode.RATE_LIMITED, cause.message, {"reason": cause.code, "retryAt": cause.retry_at.isoformat()}
        )
    code = ErrorCode.UNAVAILABLE if cause.transient else ErrorCode.BAD_USER_INPUT
    details: dict[str, object] = {"reason": cause.code}
    if isinstance(cause, AmbiguousCustomer):
        details["candidates"] = [
            {"id": encode_id("Customer", one.id), "externalId": one.external_id, "fullName": one.full_name}
            for one in cause.candidates
        ]
    if cause.path:
        details["path"] = [to_camel_case(part) for part in cause.path]
    return _Shown(code, cause.message, details)


def _classify_invalid_input(cause: InvalidInput) -> _Shown:
    """Return the error with paths in the spelling of the API."""
    problems = [([to_camel_case(part) for part in problem.path], problem.reason) for problem in cause.problems]
    message = "; ".join(f"{'.'.join(path) or 'input'}: {reason}" for path, reason in problems)
    details = [{"path": path, "reason": reason} for path, reason in problems]
    return _Shown(ErrorCode.BAD_USER_INPUT, message or cause.message, {"problems": details})


def _find_declared_code(error: GraphQLError) -> _Shown | None:
    """Return the code that `refusal` or a validation rule of this package gave to an error."""
    code = (error.extensions or {}).get("code")
    if not isinstance(code, str) or code not in _CODES:
        return None
    return _Shown(ErrorCode(code), error.message, error.extensions or {})


def root_cause(error: GraphQLError) -> Exception | None:
    """Return the first exception below the GraphQL errors that wrap it; None if there is none."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause if isinstance(cause, Exception) else None


def _is_about_the_request(error: GraphQLError, cause: Exception | None, before_execution: bool) -> bool:  # noqa: FBT001
    """Return whether the document or its variables are wrong.

    An error without a path that points into the document is about the document. One that points nowhere came out of a
    subscription. During execution only a wrong argument value is about the request: such an error points at an argument
    or a value. An error of a resolver or a result points at a field.
    """
    if _is_bad_input(error):
        return True
    if error.path is None:
        located = bool(error.locations) or error.message in {*_ABORTED_MESSAGES, _TOO_MANY_WRONG_VALUES}
        return located or isinstance(cause, _REQUEST_EXCEPTIONS) or (before_execution and cause is None)
    return cause is None and _points_below_fields(error.nodes)


def _is_bad_input(error: BaseException | None) -> bool:
    """Return whether strawberry itself refused a value, such as a @oneOf input with two keys."""
    while isinstance(error, GraphQLError):
        if isinstance(error, StrawberryInputCoercionError):
            return True
        error = error.original_error
    return False


def _points_below_fields(nodes: Collection[object] | None) -> bool:
    return bool(nodes) and not any(isinstance(node, FieldNode) for node in nodes or ())


def _log_bug(error: GraphQLError, request_id: str) -> None:
    cause = root_cause(error)
    place = ".".join(str(part) for part in error.path or ())
    exception = cause if cause is not None else error
    log.error(
        "unexpected error in an operation",
        request_id=request_id,
        place=place,
        exc_info=(type(exception), exception, exception.__traceback__),
    )
