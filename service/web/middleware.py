"""What happens around every handler? An id, two log lines, and problems instead of exceptions."""

import asyncio
import re
import time

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service.core.errors import Kind, Problem, ServiceError
from service.core.owners import ANONYMOUS
from service.web.headers import complete
from service.web.keys import OWNER, QUOTA, REQUEST_ID, RUN_ID, SETTINGS
from service.web.problems import problem_of_exception, problem_response
from service.web.ratelimit import limit_headers

X_REQUEST_ID = "X-Request-Id"
X_RUN_ID = "X-Run-Id"
X_SIMULATED = "X-Simulated"

WELL_FORMED = "[A-Za-z0-9._-]{1,128}"
"""An id of a request that a client may choose."""

_WELL_FORMED = re.compile(WELL_FORMED)

log = structlog.get_logger()


@web.middleware
async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id; one line when it starts and one when it ends."""
    sent = request.headers.get(X_REQUEST_ID, "")
    new_id = request.app[SETTINGS].new_id
    request[OWNER] = ANONYMOUS
    request[REQUEST_ID] = request_id = sent if _WELL_FORMED.fullmatch(sent) else new_id()
    told = log.debug if request.path.startswith(("/health", "/metrics", "/static/")) else log.info
    began = time.perf_counter()
    told("request_started", request_id=request_id, method=request.method, path=request.path)
    status: int | str = "disconnected"
    size = None
    try:
        response = await handler(request)
        status, size = response.status, response.body_length or response.content_length
        return response
    finally:
        told(
            "request_ended",
            request_id=request_id,
            run_id=request.get(RUN_ID),
            method=request.method,
            path=request.path,
            status=status,
            seconds=round(time.perf_counter() - began, 6),
            bytes=size or None,
        )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a problem."""
    try:
        return await handler(request)
    except ServiceError as error:
        if error.problem.quota:
            request[QUOTA] = error.problem.quota
        return problem_response(error.problem, request[REQUEST_ID])
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        response = problem_response(problem_of_exception(error, request), request[REQUEST_ID])
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
    except Exception as error:  # the outcome of a request, as a run's is in core
        log.error("defect", request_id=request[REQUEST_ID], exc_info=error)  # noqa: TRY400
        told = Problem(Kind.INTERNAL_ERROR, "the server has a defect; it was logged")
        return problem_response(told, request[REQUEST_ID])


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers that every response has (a signal handler: streams are covered too)."""
    complete(response.headers)
    if request_id := request.get(REQUEST_ID):
        response.headers[X_REQUEST_ID] = request_id
    if run_id := request.get(RUN_ID):
        response.headers[X_RUN_ID] = run_id
    if quota := request.get(QUOTA):
        policy = request.app[SETTINGS].ratelimit_policy
        now = asyncio.get_running_loop().time()
        response.headers.update(limit_headers(quota, policy, now))
    if request.app[SETTINGS].simulated:
        response.headers[X_SIMULATED] = "true"
