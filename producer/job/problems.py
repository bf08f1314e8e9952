"""Pydantic's errors in a newcomer's words.

Pydantic names a place by the model's inner structure (`data`, `inline`, `x`, `tuple[float, ...]`), and
reports a failed union once a member. Here each error is walked down the models beside the document, so
that the path is what the user wrote (`data.x`) and the fields that would be right are at hand.
"""

from __future__ import annotations

import re
import types
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from likewise.producer.display import also_known, both, did_you_mean, nearest, printable, short
from likewise.producer.job.not_taken import field_instead_of, instead_of
from likewise.shared.errors import Problem
from likewise.shared.job import Experiment
from likewise.shared.job.data import BuiltinData
from likewise.shared.job.fields import NAMED, ONE
from likewise.shared.job.kinds import types_of

_MISSING = object()
FRAMEWORKS: tuple[str, ...] = Experiment.model_fields["frameworks"].default
BUILTIN_NAMES: tuple[str, ...] = get_args(BuiltinData.model_fields["name"].annotation)

_KINDS = {
    "data": "data source",
    "initial_weights": "weights source",
    "kernel_initializer": "initializer",
    "bias_initializer": "initializer",
}
"""What a field's mapping is called, where the field's own name does not say it."""

_EXAMPLES = {
    "data": "for example `data: {type: csv, path: houses.csv, target: price}`",
    "model": "for example `model: {layers: [{type: dense, units: 1}]}`",
    "model.layers": "for example `layers: [{type: dense, units: 1}]`",
    "loss": "for example `loss: mse`",
    "optimizer": "for example `optimizer: {type: sgd, learning_rate: 0.01}`",
    "training": "for example `training: {epochs: 100}`",
    "training.epochs": "for example `epochs: 100`",
    "frameworks": f"for example `frameworks: [{', '.join(FRAMEWORKS)}]`",
    "seeds": "a count such as 3, or a list such as [1, 2, 3]",
    "predict": "for example `predict: [10.0]`, or a list of rows",
}

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a word, or a mapping with a type",
    "none_required": "null",
}

_RULES = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:,.12g}",
    "finite_number": "must be a finite number",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "too_long": "has more than {max_length:,} items",
    "string_too_long": "is longer than {max_length} characters",
}

_PATTERNS = {
    "name": "letters, digits, `_`, `-` and `.`, at most 100 of them; a layer's begins with a letter",
    "sides": "lower-case words such as torch or new-torch",
    "version": 'such as "2.13.0", or "2.13.*" for every version that begins so',
    "frameworks": f"lower-case words such as {' or '.join(FRAMEWORKS)}",
    "overrides": f"lower-case words such as {' or '.join(FRAMEWORKS)}",
}


_DEVICES = ["auto", "cpu", "cuda", "cuda:1", "mps"]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One of pydantic's errors, with its place in the document."""

    path: tuple[str, ...]
    value: Any
    fields: tuple[str, ...]
    """Field names that the mapping at the place above allows."""
    tags: tuple[str, ...]
    """The types that a mapping at the place may have."""
    kind: str
    """What the mapping above is: `layer dense`, `training`."""
    union: tuple[str, ...] | None
    """Path of the innermost union of plain types that the error passed through."""
    error: ErrorDetails


def problems(
    error: ValidationError, model: type[BaseModel], document: Any, *, prefix: str = ""
) -> list[Problem]:
    """Return every problem, one a place, in the order of the fields; `prefix` goes before each path."""
    by_union: dict[Any, list[_Found]] = defaultdict(list)
    for number, details in enumerate(error.errors(include_url=False)):
        found = _walk(details, model, document)
        if details["type"] == "too_short" and found.value:
            continue  # pydantic counted only the valid items; the others have errors of their own
        by_union[number if found.union is None else found.union].append(found)
    return [_problem(found, prefix) for group in by_union.values() for found in _most_telling(group)]


def _most_telling(group: list[_Found]) -> list[_Found]:
    """Choose among the errors of a union's members those of the member that the user meant."""
    if len(group) == 1 or group[0].union is None:
        return group
    deepest = max(len(found.path) for found in group)
    deep = [found for found in group if len(found.path) == deepest]
    ranged = [found for found in deep if found.error["type"] not in _TYPES]
    return (ranged or deep)[:1] if deepest == len(group[0].union) else deep


def _walk(details: ErrorDetails, model: type[BaseModel], document: Any) -> _Found:
    options: list[Any] = [model]
    value: Any = document
    path: list[str] = []
    fields: tuple[str, ...] = ()
    kind, union = "job file", None
    for element in details["loc"]:
        options, value, kind = _of_its_type(options, value, kind, path)
        models = [option for option in options if _is_model(option)]
        if element == "[key]" and path:  # pydantic's word for the key that it names before
            continue
        if element in (ONE, NAMED):
            options = [option for option in options if _is_mapping(option) == (element == NAMED)]
            options = [one for option in options for one in _opened(option)]
            continue
        if isinstance(element, int) and (rows := _items(options)):
            options = list(_options(rows))
            value = _below(value, element)
        elif len(models) > 1:
            continue  # words apart from mappings
        elif models:
            fields = tuple(models[0].model_fields)
            kind = kind if "type" in fields else (path[-1] if path else "job file")
            field = models[0].model_fields.get(str(element))
            options = [] if field is None else list(_options(field.annotation))
            value = _below(value, element)
        elif mapped := _mapped(options):
            options = list(_options(mapped))
            value = _below(value, element)
        else:  # a member of a union of plain types
            union = tuple(path)
            options = _member(options, str(element))
            continue
        path.append(str(element))
    return _Found(
        path=tuple(path),
        value=value,
        fields=fields,
        tags=tuple(tag for option in options for tag in _tags(option)),
        kind=kind,
        union=union,
        error=details,
    )


def _of_its_type(
    options: list[Any], value: Any, kind: str, path: Sequence[str]
) -> tuple[list[Any], Any, str]:
    """Return of several kinds the one that a mapping's `type` names, the mapping, and what it is called."""
    document = {"type": value} if isinstance(value, str) else value
    word = document.get("type") if isinstance(document, dict) else None
    named = [option for option in options if word in _tags(option)]
    if len(options) == 1 or not named:
        return options, value, kind
    return named, document, f"{word} {_kind(path)}"


def _problem(found: _Found, prefix: str) -> Problem:
    message, hint = _words(found)
    path = found.path
    value = None if found.value is _MISSING else short(found.value)
    context = found.error.get("ctx", {})
    match found.error["type"]:
        case "union_tag_invalid" if isinstance(found.value, dict):
            path, value = (*path, "type"), short(found.value.get("type"))
        case "union_tag_not_found":
            path, value = (*path, "type"), None
        case "table" if "value" in context:
            message, value = message.replace(" is not ", f" is {short(context['value'])}, not ", 1), None
        case "value_error":
            value = None
            path = _named_in(message, path, found)
            message = message.removeprefix(".".join(path) + " ")
            hint = _side_meant(path, found.value) or _foreign(found.value)
        case "extra_forbidden" if isinstance(found.value, dict | list):
            value = None
    shown = ".".join(printable(part) for part in path)
    return Problem(path=f"{prefix}{shown}".rstrip("."), message=message, value=value, hint=hint)


def _words(found: _Found) -> tuple[str, str | None]:
    """Return the message and the hint."""
    error, context = found.error, found.error.get("ctx", {})
    kind, example = error["type"], _EXAMPLES.get(".".join(found.path))
    message, hint = error["msg"][:1].lower() + error["msg"][1:], example
    if kind in _TYPES:
        message = _wrong_type(found, _TYPES[kind])
    elif kind in _RULES:
        message = _RULES[kind].format(**context)
    elif kind == "missing":
        message, hint = "is missing", example or f"{_article(found.kind)} needs it"
    elif kind == "extra_forbidden":
        message, hint = f"unknown field of {found.kind}", _elsewhere(found.path)
        hint = field_instead_of(found.kind, found.path[-1]) or hint
        hint = hint or did_you_mean(found.path[-1], found.fields)
    elif kind == "union_tag_invalid":
        message, hint = f"unknown {_kind(found.path)}", did_you_mean(str(context["tag"]), found.tags)
        if instead := instead_of(_kind(found.path), str(context["tag"])):
            message, hint = message if instead.startswith("write ") else "is not taken", instead
        if found.path == ("data",) and context["tag"] in BUILTIN_NAMES:
            hint = f"did you mean {{type: builtin, name: {context['tag']}}}?"
    elif kind == "union_tag_not_found":
        message, hint = "is missing", f"the {_kind(found.path)}: {_either(found.tags)}"
    elif kind == "literal_error":
        known = [_as_written(option) for option in context["expected"].replace(" or ", ", ").split(", ")]
        message, hint = f"expected {_either(known)}", _meant(str(found.value), known)
    elif kind == "string_pattern_mismatch":
        message, hint = _words_of_pattern(found)
    elif kind == "value_error":
        message, hint = str(context["error"]), None
    elif kind == "table":
        message = error["msg"]
    return printable(message), hint


def _words_of_pattern(found: _Found) -> tuple[str, str | None]:
    """Return the message and the hint for a word that is not of the form it should have."""
    if found.path[-1] == "device":
        return f"expected {_either(_DEVICES)}", also_known(str(found.value), _DEVICES)
    if found.path[-1] == "framework" or found.path[0] == "frameworks":
        return "is not a name", did_you_mean(str(found.value), FRAMEWORKS)
    if "requirements" in found.path:
        word = str(found.value)
        package = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", word)
        example = f"{package[0]}==…" if package and package[0] != "keras" else "keras==3.14.*"
        return "is not a package with its versions", f"as a requirement file has them, such as {example}"
    what = "version" if found.path[-1] == "version" else "name"
    hint = next((_PATTERNS[part] for part in reversed(found.path) if part in _PATTERNS), None)
    return f"is not a {what}", hint


def _foreign(document: Any) -> str | None:
    """Return which of a job's frameworks do not ship with Likewise, where one of them may be the mistake."""
    named = document.get("frameworks") if isinstance(document, dict) else None
    foreign = [name for name in named if name not in FRAMEWORKS] if isinstance(named, list) else []
    if not foreign:
        return None
    return f"{both(foreign)} {'is' if len(foreign) == 1 else 'are'} no framework that ships with Likewise"


def _elsewhere(path: tuple[str, ...]) -> str | None:
    """Return which other part has a field of this very name: `training.learning_rate` is the optimizer's."""
    name = path[-1]
    places = [
        f"{section}.{name}"
        for section, field in Experiment.model_fields.items()
        if section != path[0]
        and any(_is_model(option) and name in option.model_fields for option in _options(field.annotation))
    ]
    return f"did you mean {_either(places)}?" if 0 < len(places) < 3 else None


def _wrong_type(found: _Found, expected: str) -> str:
    if found.union == found.path:
        expected = {
            "seeds": "a whole number or a list of whole numbers",
            "target": "a column's name or a list of names",
        }.get(found.path[-1], "a number or a list of numbers")
    if isinstance(found.value, str) and expected.endswith("number"):
        expected += ", not text"
    return f"expected {expected}"


def _as_written(option: str) -> str:
    """Pydantic shows Python's literals; a job file has `true` for True."""
    return option.strip("'") if option.startswith("'") else option.lower()


def _meant(word: str, known: Sequence[str]) -> str | None:
    """Among few choices a word that looks like one (gpu: cpu) is no sign that it was meant."""
    match = nearest(word, known) if len(known) > 3 else None
    return also_known(word, known) or (f"did you mean {match}?" if match else None)


def _named_in(message: str, path: tuple[str, ...], found: _Found) -> tuple[str, ...]:
    """Return the path with the field that the message of a rule over a whole mapping begins with."""
    first = message.split(" ", 1)[0]
    head = first.split(".", 1)[0]
    known = isinstance(found.value, dict) and head in found.value
    return (*path, first) if known else path


def _side_meant(path: tuple[str, ...], document: Any) -> str | None:
    """Name the side, or the framework of one, that is meant where overrides are for none."""
    field, _, name = path[-1].partition(".") if path else ("", "", "")
    if field != "overrides" or not name:
        return None
    sides = document.get("sides") or {}
    known = (*sides, *(side["framework"] for side in sides.values())) or document.get("frameworks")
    match = nearest(name, map(str, known or FRAMEWORKS))
    return None if match is None else f"did you mean {printable(match)}?"


def _kind(path: Sequence[str]) -> str:
    if path and path[0] == "loss":
        return "loss"
    last = next((part for part in reversed(path) if not part.isdigit()), "job file")
    return "layer" if last == "layers" else _KINDS.get(last, last)


def _article(kind: str) -> str:
    """`dense layer` is one of several; there is only one `training`."""
    return f"the {kind}" if " " not in kind or kind == "job file" else f"a {kind}"


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _below(value: Any, element: int | str) -> Any:
    try:
        return value[element]
    except (KeyError, IndexError, TypeError):
        return _MISSING


def _options(annotation: Any) -> Iterator[Any]:
    """Yield the members of a type, with Annotated and unions opened."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _options(get_args(annotation)[0])
    elif origin is Union or origin is types.UnionType:
        for member in get_args(annotation):
            yield from _options(member)
    elif annotation is not type(None):
        yield annotation


def _is_mapping(option: Any) -> bool:
    return get_origin(option) is dict or _opened(option) != [option]


def _opened(option: Any) -> list[Any]:
    """Return what a model of nothing but a mapping holds, and any other type as it is."""
    if isinstance(option, type) and issubclass(option, RootModel):
        return list(_options(option.model_fields["root"].annotation))
    return [option]


def _items(options: Sequence[Any]) -> Any:
    return next((get_args(option)[0] for option in options if get_origin(option) is tuple), None)


def _mapped(options: Sequence[Any]) -> Any:
    return next((get_args(option)[1] for option in options if get_origin(option) is dict), None)


def _member(options: Sequence[Any], tag: str) -> list[Any]:
    """Return the member of a union of plain types that pydantic's tag means."""
    rows = tag.startswith("tuple") or "tuple[" in tag
    return [option for option in options if (get_origin(option) is tuple) == rows]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _tags(option: Any) -> tuple[str, ...]:
    return types_of(option) if _is_model(option) else ()
