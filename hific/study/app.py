"""The web application of one study: a page, its pictures, and three ways to write to the votes.

GET  /                     the page, study.css, study.js
GET  /pictures/<id>.png
POST /sessions             consent: a code and the trials
POST /sessions/<code>      goes on
POST /sessions/<code>/votes
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from hific.study.manifest import Manifest, picture_path
from hific.study.votes import Answer, NoSuchCodeError, Screen, Session, VoteRefusedError, VoteStore

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MAX_BODY_BYTES = 4096
# Crops never change: what is seen again, in another trial, is not fetched again.
KEPT = {"Cache-Control": "private, max-age=86400, immutable"}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

Size = Annotated[int, Field(ge=0, le=100_000)]
Ratio = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Next = Callable[[Request], Awaitable[Response]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ScreenBody(_Body):
    screen_width: Size
    screen_height: Size
    window_width: Size
    window_height: Size
    pixel_ratio: Ratio
    touch: bool

    def screen(self) -> Screen:
        return Screen(**self.model_dump())


class VoteBody(_Body):
    trial: Annotated[int, Field(ge=0, le=10_000)]
    side: Literal["a", "b"]
    milliseconds: Annotated[int, Field(ge=0, le=10**9)]
    looks: Annotated[int, Field(ge=0, le=10**6)]
    layout: Literal["three", "two", "stacked"]
    pixel_ratio: Ratio


def build_app(
    folder: Path, manifest: Manifest, store: VoteStore, token: str = "", names: Sequence[str] = LOOPBACK_NAMES
) -> FastAPI:
    """`token`: what every address begins with; without one, only `names` are answered to, this machine's own."""
    app = FastAPI(title=manifest.title, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_router(folder, manifest, store), prefix=f"/{token}" if token else "")
    if not token:
        # Another site's name that leads to this machine reads nothing here.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(names))
    app.middleware("http")(_guard)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NoSuchCodeError, lambda request, error: _refused(404, str(error)))
    app.add_exception_handler(VoteRefusedError, lambda request, error: _refused(409, str(error)))
    return app


def _router(folder: Path, manifest: Manifest, store: VoteStore) -> APIRouter:
    router = APIRouter()
    page = _page(manifest)

    @router.get("/")
    def index() -> Response:
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-store"})

    @router.get("/study.css")
    def style() -> Response:
        return Response(_resource("study.css"), media_type="text/css", headers={"Cache-Control": "no-cache"})

    @router.get("/study.js")
    def script() -> Response:
        return Response(_resource("study.js"), media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    @router.get("/pictures/{picture}.png")
    def picture(picture: str) -> Response:
        if picture not in manifest.pictures:
            return _refused(404, "there is no such picture")
        # Nothing of the file but its bytes: no time, no tag.
        return Response(picture_path(folder, picture).read_bytes(), media_type="image/png", headers=KEPT)

    @router.post("/sessions")
    def begin(body: ScreenBody) -> dict[str, Any]:
        return _as_json(store.begin(body.screen()), manifest)

    @router.post("/sessions/{code}")
    def resume(code: str, body: ScreenBody) -> dict[str, Any]:
        return _as_json(store.resume(code, body.screen()), manifest)

    @router.post("/sessions/{code}/votes")
    def vote(code: str, body: VoteBody) -> dict[str, Any]:
        answer = Answer(body.side, body.milliseconds, body.looks, body.layout, body.pixel_ratio)
        return {"answered": store.vote(code, body.trial, answer)}

    return router


def _as_json(session: Session, manifest: Manifest) -> dict[str, Any]:
    """Pictures by their ids alone; which of them are catch trials is not said."""
    trials = []
    for trial in session.trials:
        crop = manifest.crops[trial.crop]
        shown = {"original": crop.original, "a": trial.a.picture, "b": trial.b.picture}
        trials.append({**shown, "width": crop.width, "height": crop.height})
    return {"code": session.code, "answered": session.answered, "trials": trials}


async def _guard(request: Request, call_next: Next) -> Response:
    """Sizes before anything is read; the policy on every answer."""
    length = request.headers.get("content-length", "0" if request.method in ("GET", "HEAD") else "")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        response: Response = _refused(413, f"at most {MAX_BODY_BYTES} bytes, and their number in advance")
    else:
        response = await call_next(request)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _refused(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _refused(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, status_code=status)


def _page(manifest: Manifest) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    paragraphs = [text.strip() for text in manifest.consent.split("\n\n") if text.strip()]
    template = environment.from_string(_resource("study.html"))
    return template.render(title=manifest.title, question=manifest.question, consent=paragraphs)


@cache
def _resource(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")
