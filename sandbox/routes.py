"""The routes: health, version, incidents, and the admin routes of the sandbox itself."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from sandbox.auth import CREATE, READ, SET_REFERENCE, Caller, authenticate
from sandbox.errors import ApiError, internal_error, new_request_id
from sandbox.faults import Fault, FaultBook
from sandbox.names import ADMIN_PREFIX, APP_NAME, INCIDENTS_PATH
from sandbox.openapi import openapi_document
from sandbox.schema import parse_incident
from sandbox.settings import Settings
from sandbox.store import Row, Store, StoreRefusalError

PageSize = Annotated[int, Query(ge=1, le=100)]
PageNumber = Annotated[int, Query(ge=1)]


def reader(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
    """Let only callers with `incident:read` through."""
    caller.require(READ)
    return caller


class IncidentRoutes:
    """GET and POST incidents."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self.router = APIRouter()
        self.router.add_api_route(INCIDENTS_PATH, self.list_incidents, methods=["GET"])
        self.router.add_api_route(INCIDENTS_PATH + "{record_id}", self.one_incident, methods=["GET"])

    async def one_incident(self, caller: Annotated[Caller, Depends(reader)], record_id: int) -> dict[str, Any]:
        """Give one record of the caller's tenant."""
        row = self._store.one(caller.tenant, record_id)
        if row is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", "Incident not found")
        return _public(row)

    async def list_incidents(
        self,
        caller: Annotated[Caller, Depends(reader)],
        page: PageNumber = 1,
        page_size: PageSize = 50,
        search: str = "",
    ) -> dict[str, Any]:
        """Give one page of the caller's tenant's records, newest first."""
        rows, total = self._store.find(caller.tenant, search, page_size, (page - 1) * page_size)
        return {
            "items": [_public(row) for row in rows],
            "total": total,
            "page": page,
            "page_size": page_size,
            "pages": -(-total // page_size),
        }

    async def create_incident(self, request: Request) -> JSONResponse:
        """Store one incident; the checks come in the platform's order: 401, 403, 422, 403, 409."""
        caller = authenticate(request)
        caller.require(CREATE)
        content_type = request.headers.get("content-type", "")
        incident = parse_incident(content_type, await request.body(), self._settings.withdrawn)
        reference = incident["reference_number"]
        if reference:
            caller.require(SET_REFERENCE, "Not authorized to set explicit reference numbers")
            if self._store.has_reference(reference):
                raise ApiError(HTTPStatus.CONFLICT, "DUPLICATE_ENTITY", "Duplicate reference number")
        # Between look and insert, as on the platform: a second POST of the reference can slip in here.
        await asyncio.sleep(self._settings.latency)
        try:
            row = self._store.insert(incident, caller.tenant)
        except StoreRefusalError as error:
            raise internal_error() from error
        return JSONResponse(_public(row), status_code=HTTPStatus.CREATED)


def _public(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "tenant"}


def platform_router(settings: Settings) -> APIRouter:
    """Make the routes that need no token: health, version and, outside production, the OpenAPI document."""
    router = APIRouter()
    started = datetime.now(UTC).isoformat()
    names = {"app_name": APP_NAME, "environment": settings.environment}

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy", **names, "request_id": new_request_id()}

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "request_id": new_request_id()}

    @router.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready", "database": "connected", "redis": "connected"}

    @router.get("/api/v1/meta/version")
    async def version() -> dict[str, str]:
        return {"build_sha": "sandbox", "build_time": started, **names}

    if settings.environment != "production":
        document = openapi_document(settings.withdrawn)
        router.add_api_route("/openapi.json", lambda: JSONResponse(document), methods=["GET"])
    return router


def admin_router(store: Store, faults: FaultBook) -> APIRouter:
    """Make the sandbox's own routes: faults on demand, the request log and the stored records."""
    router = APIRouter(prefix=ADMIN_PREFIX)

    @router.post("/faults", status_code=HTTPStatus.CREATED)
    async def add_fault(fault: Fault) -> Fault:
        faults.add(fault)
        return fault

    @router.delete("/faults", status_code=HTTPStatus.NO_CONTENT)
    async def clear_faults() -> None:
        faults.clear()

    router.add_api_route("/faults", faults.listed, methods=["GET"])

    @router.get("/requests")
    async def requests() -> JSONResponse:
        return JSONResponse(store.requests())

    @router.get("/records")
    async def records() -> JSONResponse:
        return JSONResponse(store.records())

    return router
