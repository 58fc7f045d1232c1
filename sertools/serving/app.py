"""The web application (Starlette): everything but the first page asks for the token, and nothing leaves the machine."""

from __future__ import annotations

import io
import secrets
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sertools.documents import parse_json
from sertools.errors import UserError
from sertools.limits import STREAM_BYTES
from sertools.prediction.apply import CourseConfig, EmotionModel, Prediction
from sertools.prediction.audio import stream_source
from sertools.serving.review import Review

# the web framework is an extra, imported where an application is made
if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

PAGES = Path(__file__).parent / "pages"
COOKIE = "sertools"
MOST_TEXT = 1 << 20
"""Bytes of a label with its comment."""
COLUMNS = 1200
"""Of a waveform on the page."""
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                               "img-src 'self'; media-src 'self' blob:; form-action 'none'; frame-ancestors 'none'; "
                               "base-uri 'none'",
    "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
}  # fmt: skip

Handler = Callable[["Request"], Awaitable["Response"]]


def make_app(model: EmotionModel, title: str, token: str | None = None, review: Review | None = None) -> Starlette:
    """The application.

    Args:
        model: that is served.
        title: of the page.
        token: that the address has to have once; None for a new one, which is ``app.state.token``.
        review: utterances to be labelled; None for none.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

    token = token or secrets.token_urlsafe(24)
    lock = Lock()

    def known(request: Request) -> bool:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
        return cookie is not None and secrets.compare_digest(cookie.value, token)

    def guarded(handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            if not known(request):
                return _safe(Response("Open the address that sertools serve has printed; it has the token.\n", 403))
            try:
                return _safe(await handler(request))
            except UserError as error:
                return _safe(JSONResponse({"error": str(error)}, 400))

        return answer

    async def first(request: Request) -> Response:
        given = request.query_params.get("token")
        if given is not None and secrets.compare_digest(given, token):
            # the token does not stay in the address, nor in the history
            response = RedirectResponse("/", 303)
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return _safe(response)
        return await guarded(page)(request)

    async def page(request: Request) -> Response:
        return FileResponse(PAGES / ("review.html" if review is not None else "serve.html"))

    def file(name: str, kind: str) -> Handler:
        async def answer(request: Request) -> Response:
            return FileResponse(PAGES / name, media_type=kind)

        return answer

    async def about(request: Request) -> Response:
        return JSONResponse({"title": title, "classes": list(model.classes), "members": len(model.members)})

    async def nothing(request: Request) -> Response:
        return Response(status_code=204)

    async def recognise(request: Request) -> Response:
        body = await _body(request)

        def work() -> Prediction:
            with lock:
                return model.predict(stream_source(io.BytesIO(body), name="the recording"), CourseConfig())

        return JSONResponse(to_json(await run_in_threadpool(work)))

    routes = [Route("/", first), Route("/about", guarded(about)),
              Route("/favicon.ico", guarded(nothing)),
              Route("/style.css", guarded(file("style.css", "text/css"))),
              Route("/serve.js", guarded(file("serve.js", "text/javascript"))),
              Route("/review.js", guarded(file("review.js", "text/javascript"))),
              Route("/recognise", guarded(recognise), methods=["POST"])]  # fmt: skip
    if review is not None:
        routes += _review_routes(review, guarded)
    # another site's name that leads here is not answered
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app = Starlette(routes=routes, middleware=[hosts])
    app.state.token = token
    return app


def _review_routes(review: Review, guarded: Callable[[Handler], Handler]) -> list[Route]:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def items(request: Request) -> Response:
        return JSONResponse({"classes": list(review.classes), "items": review.plain(), "table": str(review.table)})

    async def audio(request: Request) -> Response:
        data = await run_in_threadpool(review.audio, request.path_params["number"])
        return Response(data, media_type="audio/wav")

    async def label(request: Request) -> Response:
        try:
            values = parse_json((await _body(request, MOST_TEXT)).decode())
        except ValueError as error:
            raise UserError("a label is an object in JSON") from error
        if not isinstance(values, dict):
            raise UserError("a label is an object")
        item = await run_in_threadpool(
            review.label, request.path_params["number"], str(values.get("label", "")), str(values.get("comment", ""))
        )
        return JSONResponse(item)

    return [Route("/items", guarded(items)), Route("/audio/{number:int}", guarded(audio)),
            Route("/label/{number:int}", guarded(label), methods=["POST"])]  # fmt: skip


def _safe(response: Response) -> Response:
    response.headers.update(SAFE)
    return response


async def _body(request: Request, most: int = STREAM_BYTES) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise UserError(f"this is more than {most >> 20} MiB; use sertools predict for so long a recording")
        parts.append(part)
    return b"".join(parts)


def to_json(prediction: Prediction) -> dict[str, Any]:
    """What the page draws: probabilities, their course, and the waveform in :data:`COLUMNS` columns at most."""
    course = prediction.course
    assert course is not None
    starts = np.unique(np.linspace(0, len(course.envelope), COLUMNS, endpoint=False).astype(int))
    low = np.minimum.reduceat(course.envelope[:, 0], starts)
    high = np.maximum.reduceat(course.envelope[:, 1], starts)
    return {
        "seconds": round(prediction.duration, 3),
        "label": prediction.label,
        "probabilities": dict(zip(prediction.classes, prediction.probabilities, strict=True)),
        "notes": list(prediction.notes),
        "words": None if prediction.words is None else " ".join(prediction.words),
        "course": {"times": course.times.round(3).tolist(), "window": course.window,
                   "probabilities": course.outputs.round(4).tolist()},
        "waveform": {"low": low.round(4).tolist(), "high": high.round(4).tolist()},
    }  # fmt: skip
