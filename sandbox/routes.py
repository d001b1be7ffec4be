"""The routes: health, version, the entities, and the admin routes of the sandbox itself."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from sandbox.auth import Caller, authenticate
from sandbox.entity import Body, Duplicate, Entity, Permission
from sandbox.errors import ApiError, internal_error, new_request_id
from sandbox.faults import Fault, FaultBook
from sandbox.names import ADMIN_PREFIX, APP_NAME
from sandbox.openapi import openapi_document
from sandbox.records import Row, StoreRefusalError
from sandbox.schema import Record, Schema
from sandbox.settings import Settings
from sandbox.store import Store

PageSize = Annotated[int, Query(ge=1, le=100)]
PageNumber = Annotated[int, Query(ge=1)]


class EntityRoutes:
    """GET and POST of one entity."""

    def __init__(self, entity: Entity, settings: Settings, store: Store) -> None:
        self.path = entity.path
        self._entity = entity
        self._schema = Schema(entity)
        self._settings = settings
        self._records = store.records[entity.name]

    def router(self) -> APIRouter:
        """Make the routes that read: the list, and one record by its id."""
        router = APIRouter()

        def reader(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
            caller.require(self._entity.read)
            return caller

        @router.get(self._entity.path)
        async def page_of(
            caller: Annotated[Caller, Depends(reader)],
            page: PageNumber = 1,
            page_size: PageSize = 50,
            search: str = "",
        ) -> dict[str, Any]:
            rows, total = self._records.find(caller.tenant, search, page_size, (page - 1) * page_size)
            pages = -(-total // page_size)
            items = [_public(row) for row in rows]
            return {"items": items, "total": total, "page": page, "page_size": page_size, "pages": pages}

        @router.get(self._entity.path + "{record_id}")
        async def one(caller: Annotated[Caller, Depends(reader)], record_id: int) -> dict[str, Any]:
            row = self._records.one(caller.tenant, record_id)
            if row is None:
                raise ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"{self._entity.title} not found")
            return _public(row)

        return router

    async def create(self, request: Request) -> JSONResponse:
        """Store one record, after the token's check and the entity's own, in their order."""
        caller = authenticate(request)
        record = await self._checked(caller, request)
        # Between look and insert, as on the platform: a second POST of the key can slip in here.
        await asyncio.sleep(self._settings.latency)
        try:
            row = self._records.insert(record, caller.tenant)
        except StoreRefusalError as error:
            raise internal_error() from error
        return JSONResponse(_public(row), status_code=HTTPStatus.CREATED)

    async def _checked(self, caller: Caller, request: Request) -> Record:
        record: Record = {}
        for check in self._entity.checks:
            key = record.get(self._entity.key.field)
            if isinstance(check, Body):
                content_type = request.headers.get("content-type", "")
                record = self._schema.parse(content_type, await request.body(), self._settings.withdrawn)
            elif isinstance(check, Permission):
                if key or not check.is_for_the_key:
                    caller.require(check.name, check.message)
            elif key:
                self._refuse_duplicate(check, key)
        return record

    def _refuse_duplicate(self, check: Duplicate, key: str) -> None:
        existing = self._records.id_of(key)
        if existing is not None:
            known = {"existing_id": existing, self._entity.key.field: key}
            details = {name: known[name] for name in check.details}
            raise ApiError(HTTPStatus.CONFLICT, "DUPLICATE_ENTITY", check.message.format(key=key), details)


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
        return JSONResponse([row for of_entity in store.records.values() for row in of_entity.all()])

    @router.get("/records/{entity}")
    async def records_of(entity: str) -> JSONResponse:
        if entity not in store.records:
            raise ApiError(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"no entity is called {entity}")
        return JSONResponse(store.records[entity].all())

    return router
