"""How is a failure told over HTTP? As application/problem+json (RFC 9457)."""

import math

from aiohttp import hdrs, web

from service.core.errors import Kind, Problem
from service.core.events import encode, problem_body

CONTENT_TYPE = "application/problem+json"

CHALLENGE = "Bearer"
"""RFC 6750, section 3."""

_KINDS = {
    400: Kind.MALFORMED_JSON,
    401: Kind.UNAUTHORIZED,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    413: Kind.PAYLOAD_TOO_LARGE,
    415: Kind.UNSUPPORTED_MEDIA_TYPE,
    417: Kind.EXPECTATION_FAILED,
}


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The response that tells a problem."""
    response = web.Response(
        status=problem.kind.status,
        body=encode(problem_body(problem, request_id)),
        content_type=CONTENT_TYPE,
    )
    if problem.kind is Kind.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = CHALLENGE
    if problem.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(problem.retry_after)))
    return response


def problem_of_exception(error: web.HTTPException, request: web.Request) -> Problem:
    """What the framework refuses, as a problem."""
    match error:
        case web.HTTPNotFound():
            detail = f"there is nothing at {request.path[:200]}"
        case web.HTTPMethodNotAllowed(allowed_methods=allowed):
            detail = f"{request.method[:20]} is not allowed here; allowed: {', '.join(allowed)}"
        case web.HTTPRequestEntityTooLarge():
            detail = f"the body may have {request.client_max_size} bytes"
        case web.HTTPExpectationFailed():
            detail = "Expect may only be 100-continue"
        case web.HTTPForbidden():
            detail = "this origin, method or header is not allowed to browsers"
        case _:
            detail = error.reason
    return Problem(_KINDS.get(error.status, Kind.INTERNAL_ERROR), detail)
