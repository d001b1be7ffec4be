"""The OpenAPI document, with the gaps of the platform's own: POST lists 201 and 422 and nothing else."""

from typing import Any

from sandbox.entity import ENTITIES, Entity, Withdrawn
from sandbox.names import APP_NAME
from sandbox.schema import Schema

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
    entities = ENTITIES.values()
    return {
        "openapi": "3.1.0",
        "info": {"title": APP_NAME, "version": "1.0.0"},
        "paths": {
            **{entity.path: {"get": _list_operation(entity), "post": _create_operation(entity)} for entity in entities},
            "/health": {"get": {"summary": "Health", "responses": {"200": {"description": "OK"}}}},
        },
        "components": {
            "schemas": {
                **{name: schema for entity in entities for name, schema in _schemas(entity, withdrawn).items()},
                "HTTPValidationError": {"type": "object", "title": "HTTPValidationError"},
            },
            "securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(entity: Entity, withdrawn: Withdrawn) -> dict[str, Any]:
    body = Schema(entity).model.model_json_schema(ref_template=_REF)
    schemas: dict[str, Any] = body.pop("$defs", {})
    for name, field in entity.fields.items():
        if field.enum:
            schemas[field.enum]["enum"] = [value for value in field.values if (name, value) not in withdrawn]
    return {**schemas, body["title"]: body}


def _create_operation(entity: Entity) -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": _REF.format(model=f"{entity.title}Create")}}}
    return {
        "summary": f"Create {entity.title}",
        "security": [{"HTTPBearer": []}],
        "requestBody": {"required": True, "content": body},
        "responses": {"201": {"description": "Successful Response"}, "422": _VALIDATION},
    }


def _list_operation(entity: Entity) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _LIST_PARAMETERS
        if name != "search" or entity.searched
    ]
    return {
        "summary": f"List {entity.plural.replace('_', ' ').title()}",
        "security": [{"HTTPBearer": []}],
        "parameters": parameters,
        "responses": {"200": {"description": "Successful Response"}, "422": _VALIDATION},
    }
