"""The OpenAPI document, with the gaps of the platform's own: POST lists 201 and 422 and nothing else."""

from typing import Any

from sandbox.names import APP_NAME, INCIDENTS_PATH
from sandbox.schema import ENUM_FIELDS, IncidentCreate, Withdrawn

_REF = "#/components/schemas/{model}"
_VALIDATION = {
    "description": "Validation Error",
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="HTTPValidationError")}}},
}
_LIST_PARAMETERS = (
    ("page", {"type": "integer", "minimum": 1, "default": 1}),
    ("page_size", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
    ("search", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
)


def openapi_document(withdrawn: Withdrawn) -> dict[str, Any]:
    """Build the OpenAPI 3.1.0 document; `withdrawn` (field, value) pairs are left out of the enums."""
    return {
        "openapi": "3.1.0",
        "info": {"title": APP_NAME, "version": "1.0.0"},
        "paths": {
            INCIDENTS_PATH: {"get": _list_operation(), "post": _create_operation()},
            "/health": {"get": {"summary": "Health", "responses": {"200": {"description": "OK"}}}},
        },
        "components": {
            "schemas": _schemas(withdrawn),
            "securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(withdrawn: Withdrawn) -> dict[str, Any]:
    incident = IncidentCreate.model_json_schema(ref_template=_REF)
    schemas: dict[str, Any] = incident.pop("$defs")
    for field, enum in ENUM_FIELDS.items():
        schema = schemas[enum.__name__]
        schema["enum"] = [value for value in schema["enum"] if (field, value) not in withdrawn]
    schemas["IncidentCreate"] = incident
    schemas["HTTPValidationError"] = {"type": "object", "title": "HTTPValidationError"}
    return schemas


def _create_operation() -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": _REF.format(model="IncidentCreate")}}}
    return {
        "summary": "Create Incident",
        "security": [{"HTTPBearer": []}],
        "requestBody": {"required": True, "content": body},
        "responses": {"201": {"description": "Successful Response"}, "422": _VALIDATION},
    }


def _list_operation() -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _LIST_PARAMETERS
    ]
    return {
        "summary": "List Incidents",
        "security": [{"HTTPBearer": []}],
        "parameters": parameters,
        "responses": {"200": {"description": "Successful Response"}, "422": _VALIDATION},
    }
