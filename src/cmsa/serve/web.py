"""The service over HTTP: routes, who may ask, and what a client is told."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from cmsa.inference.jsonl import Record
from cmsa.serve.admission import FORM_BYTES, Admission, ClientGone, while_listening
from cmsa.serve.boxes import read_boxes
from cmsa.serve.form import read_form
from cmsa.serve.metrics import Metrics
from cmsa.serve.refusal import RETRY, Refusal
from cmsa.serve.schema import FORM_TYPE, TAKEN, Schema, answer_schema, form_of, refusals, request_schema
from cmsa.serve.service import Asked, Service
from cmsa.version import __version__

_GONE = 499
"""What nginx calls a client that did not wait; nobody reads it but the metrics."""
_Answers = Callable[[], Coroutine[Any, Any, Response]]
_PARAMETERS = "boxes", "file", "image_id"
_ADDRESSES = "POST /predict; GET /model, /health, /ready, /metrics, /openapi.json"
_LARGEST_ID = 2**53 - 1
_LONGEST_NAME = 1000
_BEARER = HTTPBearer(auto_error=False, description="Where the server was given a token.")


def build(service: Service, token: str | None = None, warmed: Callable[[], None] = lambda: None) -> FastAPI:
    """The application, for any ASGI server; it warms the service up, and closes it when it ends.

    Args:
        service: what predicts.
        token: that requests must bear; None asks for none. ``/health``, ``/ready`` and ``/openapi.json`` never do.
        warmed: called when the network has run, or turned out not to.
    """
    admission = Admission(service.limits, service.metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up(service, warmed))
        yield
        await warming
        await asyncio.to_thread(service.close)

    answer: Schema = {}

    class Described(FastAPI):
        """Describes itself once the network has shown what a value looks like."""

        def openapi(self) -> Schema:
            _check_ready(service)
            answer.update(answer_schema(service.example))
            return super().openapi()

    # FastAPI's own pages would load scripts from other hosts, and it would send /predict/ to whatever host was named.
    app = Described(
        title="cmsa", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    _say_errors(app)
    guarded, unauthorised = _guard(token)
    description = service.predictor.description

    def get(path: str, **options: Any) -> Callable[[_Answers], _Answers]:
        """GET, and HEAD as every GET has it: load balancers ask for their health by it."""

        def register(function: _Answers) -> _Answers:
            app.add_api_route(path, function, methods=["HEAD"], include_in_schema=False, **options)
            app.add_api_route(path, function, methods=["GET"], **options)
            return function

        return register

    @get("/health", responses={200: _json(form_of({"status": ""}))})
    async def health() -> JSONResponse:
        """Whether the process answers at all."""
        return JSONResponse({"status": "alive"})

    @get("/ready", responses={200: _json(form_of({"status": ""})), **refusals(503)})
    async def ready() -> JSONResponse:
        """Whether the network can run."""
        _check_ready(service)
        return JSONResponse({"status": "ready"})

    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @get("/metrics", dependencies=guarded, responses={200: text, **unauthorised}, response_class=Response)
    async def metrics() -> Response:
        """What was done, for Prometheus."""
        service.metrics.ready.set(service.ready)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    model = {
        "name": description.name,
        "task": service.predictor.task.command,
        "input_size": list(description.input_size),
        "names": list(description.names or service.predictor.task.label_names),
    }

    @get("/model", dependencies=guarded, responses={200: _json(form_of(model)), **unauthorised})
    async def describe() -> JSONResponse:
        """The network: its task, its input (height, width), and the names of its keypoints or classes in order."""
        return JSONResponse(model)

    counted = APIRouter(route_class=_counted_route(service.metrics))

    @counted.post(
        "/predict",
        dependencies=guarded,
        responses={200: _json(answer), **unauthorised, **refusals(408, 413, 415, 422, 429, 500, 503, 504)},
        openapi_extra=request_schema(service.limits.boxes),
    )
    async def predict(
        request: Request,
        file: Annotated[str, Query(max_length=_LONGEST_NAME, description="What the answer calls the picture.")] = "",
        image_id: Annotated[int, Query(ge=0, le=_LARGEST_ID, description="Of the picture in the answer.")] = 1,
    ) -> Response:
        """A picture, and perhaps boxes -> a value for each box, in a line as cmsa predict writes it."""
        return await _predict(request, service, admission, file, image_id)

    app.include_router(counted)
    return app


def _counted_route(metrics: Metrics) -> type[APIRoute]:
    """A kind of route whose answers are all counted: 401 and a wrong parameter, too, which come before its function."""

    class CountedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def count(request: Request) -> Response:
                began, status = time.perf_counter(), 500
                try:
                    response = await handler(request)
                    status = response.status_code
                except Refusal as refusal:
                    status = refusal.status
                    raise
                except RequestValidationError:
                    status = 422
                    raise
                finally:
                    metrics.answered(status, time.perf_counter() - began)
                return response

            return count

    return CountedRoute


async def _predict(request: Request, service: Service, admission: Admission, file: str, image_id: int) -> Response:
    _check_ready(service)
    _check_parameters(request)
    admission.check_place()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in TAKEN:
        raise Refusal(
            415,
            f"must be {', '.join(TAKEN)}; got {kind or 'none'}",
            "header content-type",
            {"Accept": ", ".join(TAKEN)},
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Refusal(
            415, f"must be identity, got {coding}", "header content-encoding", {"Accept-Encoding": "identity"}
        )
    try:
        with admission.holding() as held:
            body = await held.read(request.receive, request.headers, FORM_BYTES if kind == FORM_TYPE else 0)
            asked = _asked(request, kind, body, service.limits.boxes, file, image_id)
            with admission.place():
                line: Record = await while_listening(service.answer(asked), request.receive, service.limits.seconds)
    except ClientGone:
        return Response(status_code=_GONE)
    text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"  # so that curl can append it to a results.jsonl
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _asked(request: Request, kind: str, body: bytes, most: int, file: str, image_id: int) -> Asked:
    text = request.query_params.get("boxes")
    picture, filename = body, ""
    if kind == FORM_TYPE:
        parts = read_form(body, request.headers["content-type"], ("picture", "boxes"))
        if "picture" not in parts:
            raise Refusal(422, "there is none in the form", "picture")
        picture, filename = parts["picture"].content, parts["picture"].filename or ""
        if "boxes" in parts:
            if text is not None:
                raise Refusal(422, "are given twice, in the address and in the form", "boxes")
            text = _decoded(parts["boxes"].content)
    boxes = None if text is None else read_boxes(text, most)
    return Asked(picture, boxes, (file or filename or "picture")[:_LONGEST_NAME], image_id)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")  # curl -F 'boxes=<boxes.json' sends the mark that Windows writes
    except UnicodeDecodeError as error:
        raise Refusal(422, f"is not UTF-8 ({error.reason} at byte {error.start})", "boxes") from error


def _check_parameters(request: Request) -> None:
    """Refuse what would otherwise be passed over: ``box=`` would have the whole picture taken for a person."""
    for name in request.query_params:
        if name not in _PARAMETERS:
            raise Refusal(422, f"no parameter {name!r}; there are {', '.join(_PARAMETERS)}", "query")
        if len(request.query_params.getlist(name)) > 1:
            raise Refusal(422, "is given twice", f"query {name}")


def _check_ready(service: Service) -> None:
    if not service.ready:
        raise Refusal(503, "the network is not ready yet: ask again later", headers=RETRY)


async def _warm_up(service: Service, warmed: Callable[[], None]) -> None:
    await asyncio.to_thread(service.warm_up)
    warmed()


def _guard(token: str | None) -> tuple[list[Any], dict[int | str, Any]]:
    """What a guarded route depends on, and the response where it is not fulfilled."""
    if token is None:
        return [], {}
    expected = token.encode()

    def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        given = b"" if credentials is None else credentials.credentials.encode("utf-8", "surrogateescape")
        # In a time that does not depend on how much of it is right.
        if not hmac.compare_digest(given, expected):
            what = "a bearer token is needed" if credentials is None else "the bearer token is another"
            raise Refusal(401, what, "header authorization", {"WWW-Authenticate": "Bearer"})

    return [Depends(check)], refusals(401)


def _say_errors(app: FastAPI) -> None:
    """Whatever goes wrong is said as JSON; where a failure came from is logged and not said."""

    async def refused(_: Request, error: Any) -> JSONResponse:
        return JSONResponse(error.content, error.status, error.headers)

    async def invalid(_: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        where = " ".join(map(str, first["loc"]))
        return JSONResponse(Refusal(422, str(first["msg"]), where).content, 422)

    async def not_found(request: Request, error: Any) -> JSONResponse:
        text = f"{error.detail}: {request.method} {request.url.path}; there are {_ADDRESSES}"
        return JSONResponse(Refusal(error.status_code, text).content, error.status_code, error.headers)

    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(Refusal(500, "the server failed; its log says how").content, 500)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(Exception, failed)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
