"""The server's routes: the page, the API, health and metrics."""

from __future__ import annotations

import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from mer import __version__
from mer.pages import csp_hash, source
from mer.prediction.source import Source
from mer.serve.answer import About, Answer, Fault, answer_of, display_name
from mer.serve.counts import CONTENT_TYPE, Counts
from mer.serve.desk import Desk
from mer.serve.gate import Gate
from mer.serve.limits import Limits
from mer.serve.refusals import (
    RETRY_SECONDS,
    BusyError,
    CannotPredictError,
    FormError,
    GoneError,
    RefusedError,
    SlowError,
    TooLargeError,
    TooManyError,
    UnauthorisedError,
)
from mer.serve.spool import Spool

if TYPE_CHECKING:
    from mer.prediction.predictor import Predictor

API = "/api/predict"
LONGEST_TEXT = 5000
REFUSALS = (UnauthorisedError, SlowError, TooLargeError, FormError, CannotPredictError, TooManyError, BusyError)
BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    "description": "The file itself: video or sound, as `curl --data-binary @clip.mp4` sends it",
}
EVERYWHERE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def make_app(predictor: Predictor, limits: Limits, token: str | None = None) -> FastAPI:
    """The server of a bundle.

    Raises:
        MerError: the bundle's encoders cannot be loaded.
    """
    server = Server(predictor, limits, Gate(token))
    app = FastAPI(
        title="mer",
        summary="Emotion of short video clips",
        version=__version__,
        lifespan=server.lifespan,
        docs_url=None,  # its page would fetch scripts from elsewhere
        redoc_url=None,
    )
    app.state.server = server
    app.add_exception_handler(RefusedError, server.refused)
    app.add_exception_handler(RequestValidationError, server.invalid)
    app.add_exception_handler(Exception, server.failed)
    bearer: dict[str, Any] = {"responses": {of.status: {"model": Fault} for of in REFUSALS}}
    app.get("/", include_in_schema=False)(server.page)
    app.get("/health", summary="Whether the server can take a clip")(server.health)
    app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)(server.metrics)
    app.get("/api/about", summary="Classes and limits", response_model=About)(server.about)
    app.post(
        API,
        summary="Predict a clip",
        response_model=Answer,
        openapi_extra={"requestBody": BODY},
        **bearer,
    )(server.predict)
    return app


class Server:
    """A bundle's predictions over HTTP."""

    def __init__(self, predictor: Predictor, limits: Limits, gate: Gate) -> None:
        self.predictor, self.limits, self.gate = predictor, limits, gate
        self.desk = Desk(predictor, limits)
        self.counts = Counts(predictor.classes)
        self.spool: Spool | None = None

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """The spool folder is there while the server is."""
        with Spool(self.limits) as self.spool:
            try:
                yield
            finally:
                self.desk.close()

    async def page(self) -> Response:
        script = source("clip.js", "serve.js")
        style = source("tokens.css", "clip.css", "serve.css")
        policy = (
            f"default-src 'none'; connect-src 'self'; img-src data: blob:; media-src blob:; "
            f"script-src {csp_hash(script)}; style-src {csp_hash(style)}; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors 'none'"
        )
        html = source("serve.html").replace("/* style */", style).replace("/* script */", script)
        headers = {
            **EVERYWHERE,
            "Content-Security-Policy": policy,
            "Permissions-Policy": "camera=(self), microphone=(self)",
        }
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    async def health(self) -> JSONResponse:
        full = self.desk.admitted.total() >= self.limits.admitted
        return JSONResponse({"status": "full" if full else "ok"}, 503 if full else 200, headers=_retry(full))

    async def metrics(self, request: Request) -> Response:
        self.gate.check(request)
        now = {"mer_working": self.desk.working, "mer_waiting": self.desk.waiting, "mer_places": self.limits.admitted}
        return Response(self.counts.text(now), headers={**EVERYWHERE, "Content-Type": CONTENT_TYPE})

    async def about(self, request: Request) -> About:
        self.gate.check(request)
        return About(
            classes=list(self.predictor.classes),
            targets=list(self.predictor.targets),
            modalities=list(self.predictor.modalities),
            by_group=self.predictor.by_group,
            listens=self.predictor.extractor.transcriber is not None,
            warning=self.predictor.warning,
            megabytes=self.limits.megabytes,
            seconds=self.desk.decode.max_seconds,
            version=__version__,
        )

    async def predict(
        self,
        request: Request,
        name: Annotated[str, Query(max_length=LONGEST_TEXT, description="The file's name, for people")] = "clip",
        transcript: Annotated[str, Query(max_length=LONGEST_TEXT, description="What is said, where known")] = "",
        group: Annotated[str | None, Query(max_length=LONGEST_TEXT, description="Speaker or session")] = None,
        pictures: Annotated[bool, Query(description="Whether the answer has faces and the waveform")] = True,
        timeline: Annotated[bool, Query(description="Whether each utterance is predicted, too")] = False,
    ) -> Response:
        self.gate.check(request)
        if request.headers.get("content-type", "").startswith("multipart/"):  # curl calls any body a form
            raise FormError("send the file itself as the body, not a form: curl --data-binary @clip.mp4")
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isascii() and announced.isdigit() else None
        shown, client = display_name(name), request.client.host if request.client else ""
        async with self.desk.admit(client):
            assert self.spool is not None
            try:
                path = await self.spool.receive(request.stream(), size)
            except ClientDisconnect:
                raise GoneError("the client went away") from None
            try:
                self.counts.received += path.stat().st_size
                found = await self.desk.predict(
                    path, Source(shown, str(path), group or None, transcript), request.is_disconnected, cut=timeline
                )
            finally:
                path.unlink()
        answer = answer_of(found, shown, pictures=pictures)
        self.counts.answers["200"] += 1
        if answer.label is not None:
            self.counts.labels[answer.label] += 1
        self.counts.seconds["decoding"].add(found.decoding)
        self.counts.seconds["predicting"].add(found.predicting)
        return Response(answer.model_dump_json(), media_type="application/json", headers=EVERYWHERE)

    async def refused(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RefusedError)
        name = error.name if isinstance(error, CannotPredictError) else error.error
        return self._fault(request, error.status, name, str(error), _retry(error.retry))

    async def invalid(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        return self._fault(request, 400, "bad_request", f"{where}: {first['msg']}", {})

    async def failed(self, request: Request, error: Exception) -> JSONResponse:
        traceback.print_exception(error, file=sys.stderr)
        return self._fault(request, 500, "internal", "a fault of the server; its log says more", {})

    def _fault(self, request: Request, status: int, name: str, message: str, more: dict[str, str]) -> JSONResponse:
        if request.url.path == API:
            self.counts.answers[str(status)] += 1
            self.counts.faults[name] += 1
        if status == UnauthorisedError.status:
            more = {**more, "WWW-Authenticate": "Bearer"}
        # What is left of an upload is not read: the connection ends with the answer.
        headers = {**EVERYWHERE, **more, "Connection": "close"}
        return JSONResponse(Fault(error=name, message=message).model_dump(), status, headers=headers)


def _retry(when: bool) -> dict[str, str]:
    return {"Retry-After": str(RETRY_SECONDS)} if when else {}
