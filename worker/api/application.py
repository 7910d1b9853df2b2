"""The routes: which address leads to which call, and what is checked on the way."""

from asyncio import CancelledError, timeout
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from math import ceil
from time import monotonic
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from worker.api.api import Api
from worker.api.bodies import parsed
from worker.api.bounded_body import body_of
from worker.api.discovery import METHODS, VERSION, discovery, schemas
from worker.api.errors import STATUS, ApiError, the_server_stops
from worker.api.keys import Key, Keys
from worker.api.lines import BETWEEN_S, answered_lines, lines_of
from worker.api.openapi import completed, described
from worker.api.partial import Mask, cut, mask_of, refuse_unknown
from worker.api.perspective import (
    AnalyzeRequest,
    AnalyzeResponse,
    SuggestRequest,
    SuggestResponse,
)
from worker.api.scoring import ScoreAnswer, ScoreRequest
from worker.trace import NAMES, Trace, trace_of

LINES: Final = ("application/jsonl", "application/x-ndjson", "application/jsonlines")
JSON: Final = "application/json; charset=UTF-8"

# Beside what HTTP has: what judged, by which rules, and whether it saw all of a long comment.
MODEL: Final = "X-Tidegate-Model"
POLICY: Final = "X-Tidegate-Policy"
TRUNCATED: Final = "X-Tidegate-Truncated"
RETRY: Final = "Retry-After"

SCORE: Final = "/v1/score"
ANALYZE: Final = f"/{VERSION}/comments:analyze"
SUGGEST: Final = f"/{VERSION}/comments:suggestscore"
# Coral puts the path of a call behind the endpoint that it was given: one that ends in a slash
# would have comments pass unjudged.
SLASHED: Final = {path: path.replace("/comments:", "//comments:") for path in (ANALYZE, SUGGEST)}
# The calls that the device is needed for, by path.
JUDGING: Final = {SCORE: "score", ANALYZE: "analyze", SLASHED[ANALYZE]: "analyze"}

Call = Callable[[Request, Key], Awaitable[Response]]


class Application(FastAPI):
    """FastAPI, with an OpenAPI document that has the bodies that we read ourselves.

    Attributes:
        at_once: see `worker.api.connection.AnswersAtOnce`.
    """

    at_once: Callable[[Scope], Response | None]

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


class Direct(APIRoute):
    """A route to a call that reads the request itself: FastAPI has nothing to look up for it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the call as it is."""
        return self.endpoint


def application(api: Api, keys: Keys) -> Application:
    """Return the application."""
    public = api.settings.public_url
    app = Application(
        title="tidegate",
        version="1",
        summary="Comments in, six calibrated probabilities and an action out.",
        docs_url=None,  # its page is fetched from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": public}] if public else None,
    )
    app.router.route_class = Direct
    routes = Routes(api, keys)
    app.at_once = routes.at_once
    calls: tuple[tuple[str, str, Call, type[BaseModel], type[BaseModel]], ...] = (
        (SCORE, "score", routes.score, ScoreRequest, ScoreAnswer),
        (ANALYZE, "analyze", routes.analyze, AnalyzeRequest, AnalyzeResponse),
        (SUGGEST, "suggestscore", routes.suggest, SuggestRequest, SuggestResponse),
    )
    for path, name, call, request, answer in calls:
        counted = routes.counted(name, call)
        app.add_api_route(
            path,
            counted,
            methods=["POST"],
            name=name,
            description=call.__doc__ or "",
            openapi_extra=described(request, answer, lines=call == routes.score),
        )
        if path in SLASHED:
            app.add_api_route(SLASHED[path], counted, methods=["POST"], include_in_schema=False)
    app.add_api_route(
        "/$discovery/rest", routes.discovery, methods=["GET"], include_in_schema=False
    )
    app.add_exception_handler(HTTPException, routes.no_such_address)
    app.add_exception_handler(Exception, routes.unforeseen)
    if api.settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=api.settings.cors,
            allow_methods=["POST"],
            allow_headers=["content-type", "x-goog-api-key", "authorization", *NAMES],
            expose_headers=[MODEL, POLICY, TRUNCATED, RETRY],
        )
    return app


class Lines(StreamingResponse):
    """An answer that is written while the request is still being read.

    Starlette's own looks out for the client's leaving, and would take the request's body for it.
    """

    def __init__(self, lines: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(lines, 200, headers, LINES[0])
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Write; a client that leaves ends the reading of its request, and so this.

        So does the server's end, where a client does not read what is written, and one that does
        not for so long that nobody is there.
        """

        async def sent(message: Message) -> None:
            async with timeout(BETWEEN_S):
                await send(message)

        async with aclosing(self._lines):
            with suppress(ClientDisconnect, CancelledError, TimeoutError):
                await self.stream_response(sent)


class Routes:
    """Requests to calls to answers."""

    def __init__(self, api: Api, keys: Keys) -> None:
        self._api = api
        self._keys = keys
        self._schemas = schemas()
        model = api.manifest
        self._versions = {
            MODEL: f"{model.name}/{model.version}",
            POLICY: api.policy,
        }

    # -- calls

    async def analyze(self, request: Request, key: Key) -> Response:
        """Perspective's `comments:analyze`."""
        self._must_have_room()  # first: a refusal is to cost next to nothing
        asked = parsed(AnalyzeRequest, await self._body(request))
        mask = self._mask(request, "analyze")
        scale = request.query_params.get("scale")
        with key.spending(1):
            answer, truncated = await self._api.analyze(asked, scale, _trace_of(request))
        response = self._answer(cut(answer, mask))
        if truncated:
            response.headers[TRUNCATED] = "true"
        return response

    async def suggest(self, request: Request, key: Key) -> Response:
        """Perspective's `comments:suggestscore`."""
        asked = parsed(SuggestRequest, await self._body(request))
        mask = self._mask(request, "suggestscore")
        with key.spending(1):
            answer = await self._api.suggest(asked, _trace_of(request))
        return self._answer(cut(answer, mask))

    async def score(self, request: Request, key: Key) -> Response:
        """Our own: one comment or many, or a stream of them as JSON Lines."""
        scale, trace = request.query_params.get("scale"), _trace_of(request)
        if _is_lines(request):
            self._api.map_to(scale)
            ours = self._api.settings
            lines = lines_of(request.stream(), ours.body_bytes, min(ours.comments, ours.batch))
            return Lines(answered_lines(self._api, key, lines, scale, trace), self._versions)
        self._must_have_room()
        asked = parsed(ScoreRequest, await self._body(request)).all_comments()
        most = self._api.settings.comments
        if len(asked) > most:
            raise ApiError(
                400, f"{len(asked):,} comments, at most {most:,} are allowed; or send JSON Lines"
            )
        with key.spending(len(asked)):
            results = await self._api.score(asked, scale, trace)
        return self._answer(
            {
                "results": [result.model_dump(mode="json") for result in results],
                "model": {"name": self._api.manifest.name, "version": self._api.manifest.version},
                "policy": self._api.policy,
                "scale": self._api.scale(scale),
            }
        )

    async def discovery(self, request: Request) -> Response:
        """What Google's clients read first."""
        if request.query_params.get("version", VERSION) != VERSION:
            return self._error(ApiError(404, f"The only version is {VERSION}."))
        public = self._api.settings.public_url
        return self._answer(discovery(f"{public}/" if public else str(request.base_url)))

    # -- around a call

    def counted(self, name: str, call: Call) -> Callable[[Request], Awaitable[Response]]:
        """Let those with a key in, count, and answer a refusal in Google's form."""
        # From 0 on, so that the first of them is a rise.
        self._api.figures.answers.labels(name, "500")

        async def endpoint(request: Request) -> Response:
            began, code = monotonic(), 500  # unless it comes to an answer: see `unforeseen`
            try:
                response = await call(request, self._keys.admit(_key_of(request)))
                code = response.status_code
            except ApiError as refused:
                code, response = refused.code, self._error(refused)
            except ClientDisconnect:  # nobody reads this
                code, response = 400, Response(status_code=400)
            except CancelledError:  # by the server's end only; who asked is to ask another
                stopping = the_server_stops()
                code, response = stopping.code, self._error(stopping)
            finally:
                self._count(name, code, monotonic() - began)
            return response

        return endpoint

    def at_once(self, scope: Scope) -> Response | None:
        """Answer a request, before anything is begun for it, that would be refused anyway.

        That is for want of room. Who has no key, sends lines, or comes from a page whose browser
        asks for CORS, is answered in the usual way; None says so.
        """
        if (name := JUDGING.get(scope["path"])) is None or scope["method"] != "POST":
            return None
        if not self._api.desk.is_filling:  # before a header is read: each request comes by here
            return None
        request = Request(scope)
        if "origin" in request.headers or (scope["path"] == SCORE and _is_lines(request)):
            return None
        try:
            self._keys.admit(_key_of(request))
        except ApiError:
            return None
        if (refused := self._api.desk.let_in()) is None:
            return None
        self._count(name, refused.code, 0.0)
        return self._error(refused)

    def _must_have_room(self) -> None:
        if refused := self._api.desk.refusal():
            raise refused

    def _count(self, name: str, code: int, seconds: float) -> None:
        self._api.figures.answers.labels(name, str(code)).inc()
        self._api.figures.seconds.labels(name).observe(seconds)

    async def _body(self, request: Request) -> bytes:
        return await body_of(request, self._api.settings.body_bytes)

    def _mask(self, request: Request, method: str) -> Mask | None:
        """Return what is wanted of the answer; what is no mask is refused before it is judged."""
        fields = request.query_params.get("fields")
        if not fields:
            return None
        mask = mask_of(fields)
        _, answer, _ = METHODS[method]
        refuse_unknown(mask, answer, self._schemas)
        return mask

    def _answer(self, found: Mapping[str, Any], code: int = 200) -> Response:
        return Response(orjson.dumps(found), code, self._versions, JSON)

    def _error(self, refused: ApiError) -> Response:
        response = self._answer(refused.body(), refused.code)
        if refused.retry_after_s is not None:
            response.headers[RETRY] = str(max(1, ceil(refused.retry_after_s)))
        return response

    async def no_such_address(self, _: Request, error: Exception) -> Response:
        """Answer what the router refused."""
        code = getattr(error, "status_code", 404)
        message = "No such address." if code == 404 else "No such method at this address."  # noqa: PLR2004 - of HTTP
        response = self._error(ApiError(code if code in STATUS else 400, message))
        response.headers.update(getattr(error, "headers", None) or {})  # Allow
        return response

    async def unforeseen(self, _: Request, __: Exception) -> Response:
        """Answer for an error of ours; the server logs it, without what was sent."""
        return self._error(ApiError(500, "Internal error."))


def _is_lines(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in LINES


def _trace_of(request: Request) -> Trace:
    return trace_of((name.decode("latin-1"), value) for name, value in request.headers.raw)


def _key_of(request: Request) -> str | None:
    """Return the key as Google's clients give it, or as everybody else does."""
    bearer = request.headers.get("authorization", "")
    return (
        request.query_params.get("key")
        or request.headers.get("x-goog-api-key")
        or (bearer[7:] if bearer[:7].lower() == "bearer " else None)
    )
