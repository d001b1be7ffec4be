"""Puts the application together."""

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.errors import ApiError, answer_api_error, answer_bug, install_error_answers
from sandbox.faults import FaultBook
from sandbox.gate import Gate
from sandbox.limiter import Limiter
from sandbox.names import APP_NAME, INCIDENTS_PATH
from sandbox.routes import IncidentRoutes, admin_router, platform_router
from sandbox.settings import Settings
from sandbox.store import Store


def build_app(settings: Settings, store: Store) -> ASGIApp:
    """Give the ASGI application that answers as `settings` say and keeps everything in `store`."""
    faults = FaultBook(settings.faults)
    incidents = IncidentRoutes(settings, store)
    app = FastAPI(title=APP_NAME, openapi_url=None, redirect_slashes=False)
    install_error_answers(app)
    app.include_router(platform_router(settings))
    app.include_router(incidents.router)
    app.include_router(admin_router(store, faults))
    limiter = Limiter(settings.rate_limit, settings.rate_window)
    return Gate(_creates_first(incidents, app), store, limiter, faults, store.now)


def _creates_first(incidents: IncidentRoutes, app: ASGIApp) -> ASGIApp:
    """Give an application that answers creates without the framework's routing, which takes longer than they do.

    Errors leave in the same shape; every other request is `app`'s.
    """

    async def create(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await incidents.create_incident(Request(scope, receive))
        await answer(scope, receive, send)

    guarded = ServerErrorMiddleware(ExceptionMiddleware(create, {ApiError: answer_api_error}), answer_bug)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        is_create = scope["path"] == INCIDENTS_PATH and scope["method"] == "POST"
        await (guarded if is_create else app)(scope, receive, send)

    return dispatch
