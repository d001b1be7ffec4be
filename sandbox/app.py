"""Puts the application together."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.entity import ENTITIES
from sandbox.errors import ApiError, answer_api_error, answer_bug, install_error_answers
from sandbox.faults import FaultBook
from sandbox.gate import Gate
from sandbox.limiter import Limiter
from sandbox.names import APP_NAME
from sandbox.routes import EntityRoutes, admin_router, platform_router
from sandbox.settings import Settings
from sandbox.store import Store

Create = Callable[[Request], Awaitable[Response]]


def build_app(settings: Settings, store: Store) -> ASGIApp:
    """Give the ASGI application that answers as `settings` say and keeps everything in `store`."""
    faults = FaultBook(settings.faults)
    entities = [EntityRoutes(entity, settings, store) for entity in ENTITIES.values()]
    app = FastAPI(title=APP_NAME, openapi_url=None, redirect_slashes=False)
    install_error_answers(app)
    for router in (platform_router(settings), *(entity.router() for entity in entities), admin_router(store, faults)):
        app.include_router(router)
    limiter = Limiter(settings.rate_limit, settings.rate_window)
    creates = {entity.path: entity.create for entity in entities}
    return Gate(_creates_first(creates, app), store, limiter, faults, store.now)


def _creates_first(creates: Mapping[str, Create], app: ASGIApp) -> ASGIApp:
    """Give an application that answers creates without the framework's routing, which takes longer than they do.

    Errors leave in the same shape; every other request is `app`'s.
    """

    async def create(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await creates[scope["path"]](Request(scope, receive))
        await answer(scope, receive, send)

    guarded = ServerErrorMiddleware(ExceptionMiddleware(create, {ApiError: answer_api_error}), answer_bug)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        is_create = scope["method"] == "POST" and scope["path"] in creates
        await (guarded if is_create else app)(scope, receive, send)

    return dispatch
