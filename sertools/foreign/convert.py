"""From a PyTorch checkpoint of another program to safetensors and JSON."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sertools.errors import UserError
from sertools.files import content_hash, replacing, write_json
from sertools.foreign.archive import Foreign, load_tensors, open_foreign
from sertools.foreign.machine import Mapping, Name, Refused, View
from sertools.training.checkpoint import save_tensors

MOST_VALUES, MOST_DEEP = 100_000, 100
SAFE = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
"""The dtypes that safetensors writes with every torch that is supported."""


@dataclass
class Parts:
    """What a structure consists of, each by its name ("encoder.0.weight").

    Attributes:
        views: the tensors.
        plain: numbers, texts, lists and dicts, nested as they were.
        refused: what is none of these, and would have to be called.
    """

    views: dict[str, View] = field(default_factory=dict)
    plain: Any = None
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Converted:
    """The result: tensors by name, and the plain values beside them."""

    tensors: dict[str, Tensor]
    values: Any


def convert(foreign: Path | str, output: Path | str, keys: tuple[str, ...] = ()) -> Converted:
    """Write the tensors of ``foreign`` to ``output`` (.safetensors), and ``OUTPUT.json`` beside it.

    The JSON file has the plain values, the key, and name and SHA-256 of the original.  Tensors that
    shared memory are written one by one.

    Args:
        foreign: a file of ``torch.save`` (.pt, .pth, .ckpt, ...).
        output: the file to write.
        keys: one inside the other, of the dictionary that is converted; () for everything.

    Raises:
        UserError: it is no such file or damaged; no such key; no tensors there; or something that
            could only be made by calling what the file names.
    """
    foreign, output = Path(foreign), Path(output)
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: the output is to be called .safetensors")
    opened = open_foreign(foreign)
    parts = take_apart(_chosen(opened, keys), str(foreign))
    if parts.refused:
        raise UserError(_refusal(opened, keys, parts))
    if not parts.views:
        raise UserError(f"{foreign}: no tensors{_at(keys)}; {_where_tensors_are(opened)}")
    for name, view in parts.views.items():
        if view.dtype not in SAFE:
            raise UserError(f"{foreign}: {name} is {view.dtype}, which is not written; known: {', '.join(SAFE)}")
    tensors = load_tensors(opened, parts.views)
    with replacing(output) as temporary:
        save_tensors(temporary, tensors, {"format": "pt"})  # transformers 4 loads no file that does not say so
    record = {"source": foreign.name, "sha256": content_hash(foreign), "key": list(keys), "values": parts.plain}
    write_json(output.with_suffix(".json"), record)
    return Converted(tensors, parts.plain)


def take_apart(content: Any, where: str) -> Parts:
    """Name everything in a structure by the keys that lead to it.

    Raises:
        UserError: two tensors get the same name, or there are too many values (lists that contain
            themselves, or each other many times).
    """
    parts = Parts()
    count = 0

    def visit(value: Any, name: str, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES or depth > MOST_DEEP:
            raise UserError(f"{where}: more than {MOST_VALUES} values, or lists inside of lists without end")
        if isinstance(value, Mapping | list | tuple):
            pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            visited = [
                (str(key), visit(item, f"{name}.{key}" if depth else str(key), depth + 1)) for key, item in pairs
            ]
            kept = {key: item for key, item in visited if item is not parts}
            if len({key for key, _ in visited}) < len(visited):
                raise UserError(f"{where}: two keys in {name!r} look the same as text")
            return kept if isinstance(value, Mapping) else list(kept.values())
        if isinstance(value, View):
            if name in parts.views:
                raise UserError(f"{where}: two tensors are called {name!r}")
            parts.views[name] = value
            return parts
        refused = _why_refused(value, name)
        if refused:
            parts.refused[name] = refused
            return parts
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)  # JSON has no such numbers
        return value.name if isinstance(value, Name) else value

    plain = visit(content, "", 0)
    parts.plain = None if plain is parts else plain
    return parts


def _why_refused(value: Any, name: str) -> str:
    """What is wrong with a value that is neither a tensor nor a list; empty if nothing is."""
    if isinstance(value, Refused):
        return value.name
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    if not isinstance(value, str | int | float | Name | None):
        return f"a {type(value).__name__} without a tensor"
    try:
        f"{name}{value}".encode()
    except UnicodeEncodeError:
        return "a text that is not Unicode"
    return ""


def _chosen(opened: Foreign, keys: tuple[str, ...]) -> Any:
    value = opened.content
    for number, key in enumerate(keys):
        if isinstance(value, Refused):
            raise UserError(f"{opened.path}: {value.name} would have to be called to get{_at(keys[:number])}")
        if not isinstance(value, Mapping) or key not in value:
            known = ", ".join(map(str, list(value)[:20])) if isinstance(value, Mapping) else "no dictionary"
            raise UserError(f"{opened.path}: no key '{key}'{_at(keys[:number])}; there is {known}")
        value = value[key]
    return value


def _refusal(opened: Foreign, keys: tuple[str, ...], parts: Parts) -> str:
    by_call = Counter(parts.refused.values())
    first = {call: name for name, call in reversed(parts.refused.items())}
    lines = [f"{opened.path} is not converted: to make these, it asks for calls that are never made"]
    lines += [f"  {first[call]!r}: {call}" if first[call] else f"  everything: {call}" for call in sorted(by_call)[:10]]
    if len(by_call) > 10:
        lines.append(f"  ... and {len(by_call) - 10} more")
    lines.append(f"They can be left out where the tensors are apart from them: {_where_tensors_are(opened, keys)}")
    return "\n".join(lines)


def _where_tensors_are(opened: Foreign, keys: tuple[str, ...] = ()) -> str:
    """The keys below which there are tensors and nothing else is refused."""
    value = _chosen(opened, keys)
    found = []
    for key, item in value.items() if isinstance(value, Mapping) else ():
        inside = take_apart(item, str(opened.path))
        if inside.views and not inside.refused:
            option = " ".join(f"--key '{one}'" for one in (*keys, str(key)))
            found.append(f"{option} ({len(inside.views)} tensors)")
    return ", ".join(found[:10]) or "there is no key with tensors alone"


def _at(keys: tuple[str, ...]) -> str:
    return f" in {'.'.join(keys)}" if keys else ""
