"""The kinds that a mapping of the job file may be, told apart by its `type`."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Kinds:
    """Stands beside a union of models, each with a `type`, and reads a mapping as the one that it names.

    A word is read as a mapping with only that `type`: `loss: mse` is `loss: {type: mse}`.

    Pydantic's own tagged union makes every member ready before it reads the first mapping: for the layers,
    losses and initializers that is a tenth of what a short command takes. Here a class is made ready when a
    job names it. Errors have the places that a user wrote: no tag stands among them.
    """

    _union: Any = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        self._union = source
        members: tuple[type[BaseModel], ...] = get_args(source)
        by_type = {word: member for member in members for word in types_of(member)}

        def read(value: Any, info: ValidationInfo) -> Any:
            if isinstance(value, members):
                return value
            document = {"type": value} if isinstance(value, str) else value
            if not isinstance(document, dict):
                raise PydanticKnownError("model_attributes_type")
            if "type" not in document:
                raise PydanticKnownError("union_tag_not_found", {"discriminator": "type"})
            word = document["type"]
            member = by_type.get(word) if isinstance(word, str) else None
            if member is None:
                known = {"discriminator": "type", "tag": str(word), "expected_tags": ", ".join(by_type)}
                raise PydanticKnownError("union_tag_invalid", known)
            return member.model_validate(document, context=info.context)

        return core_schema.with_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        union: Any = Annotated[self._union, Field(discriminator="type")]
        shown = handler(TypeAdapter(union).core_schema)
        members = [handler.resolve_ref_schema(dict(member)) for member in shown["oneOf"]]
        alone = [word for member in members if member["required"] == ["type"] for word in _words(member)]
        return {"anyOf": [{"enum": alone, "type": "string"}, shown]} if alone else shown


def types_of(member: type[BaseModel]) -> tuple[str, ...]:
    """Return the words that `type` can be in a kind's mapping; none for a model without a `type`."""
    field = member.model_fields.get("type")
    return get_args(field.annotation) if field is not None else ()


def _words(member: JsonSchemaValue) -> list[str]:
    declared = member["properties"]["type"]
    return list(declared["enum"]) if "enum" in declared else [declared["const"]]
