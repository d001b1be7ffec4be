"""Puts the application together."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from sandbox.errors import install_error_answers
from sandbox.faults import FaultBook
from sandbox.gate import Gate
from sandbox.limiter import Limiter
from sandbox.names import APP_NAME
from sandbox.routes import IncidentRoutes, admin_router, platform_router
from sandbox.settings import Settings
from sandbox.store import Store


def build_app(settings: Settings, store: Store) -> ASGIApp:
    """Give the ASGI application that answers as `settings` say and keeps everything in `store`."""
    faults = FaultBook(settings.faults)
    app = FastAPI(title=APP_NAME, openapi_url=None, redirect_slashes=False)
    install_error_answers(app)
    app.include_router(platform_router(settings))
    app.include_router(IncidentRoutes(settings, store).router)
    app.include_router(admin_router(store, faults))
    return Gate(app, store, Limiter(settings.rate_limit, settings.rate_window), faults)
