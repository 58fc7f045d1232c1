"""Configurations: YAML files into dataclasses, strictly."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sertools.errors import UserError

T = TypeVar("T")


def load_config(cls: type[T], path: Path | str | None = None, overrides: Sequence[str] = ()) -> T:
    """Read a dataclass from a YAML file, then apply ``key=value`` overrides.

    Args:
        cls: a dataclass; nested dataclasses are nested mappings in the file.
        path: the file; None for the defaults of ``cls``.  A line ``base: OTHER.yaml`` in it takes
            another file's settings (its path relative to this one's), and what follows changes them;
            ``base: [A.yaml, B.yaml]`` those of A changed by B.
        overrides: such as ``training.epochs=3``; values are YAML.

    Raises:
        UserError: no such file, not YAML, files that are based on each other in a circle, an unknown
            key, a value of a wrong type.
    """
    return from_dict(cls, *read_values(path, overrides))


def read_values(path: Path | str | None = None, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The settings of a file with ``key=value`` overrides, and where they are from (for messages).

    For who must look at a setting to know the dataclass; see :func:`load_config`.
    """
    values = _read(Path(path), ()) if path is not None else {}
    where = str(path) if path is not None else "defaults"
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not '{item}'")
        target = values
        *parents, last = key.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise UserError(f"--set {item}: {parent} is not a group of settings")
        target[last] = yaml.safe_load(text)
        where = f"{where} with --set {item}" if "--set" not in where else where
    return values, where


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The settings of a file and of those it is based on; ``above`` are the files that led here."""
    if not path.is_file():
        asked = f", the base of {above[-1]}" if above else ""
        raise UserError(f"there is no configuration file {path}{asked}; beside it there is {_beside(path)}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected 'key: value' lines")
    if "base" not in values:
        return values
    bases = values.pop("base")
    merged: dict[str, Any] = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"{path}: base must be the name of another file, not '{base}'")
        other = path.parent / base
        if other.resolve() in {p.resolve() for p in (*above, path)}:
            raise UserError(f"{path}: its base {base} is based on it")
        merged = _merged(merged, _read(other, (*above, path)))
    return _merged(merged, values)


def _beside(path: Path) -> str:
    """The files beside one that is not there: those that begin as it does (folds_), or else all."""
    names = sorted(other.name for other in path.parent.glob("*.yaml"))
    kind, underscore, _ = path.name.partition("_")
    names = [name for name in names if underscore and name.startswith(f"{kind}_")] or names
    near = difflib.get_close_matches(path.name, names, n=1)
    more = f" and {len(names) - 15} more" if len(names) > 15 else ""
    listed = ", ".join(names[:15]) + more if names else "none"
    return f"{near[0]}; did you mean that?" if near and len(names) > 15 else listed


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``old`` changed by ``new``, group by group."""
    both = dict(old)
    for key, value in new.items():
        inner = both.get(key)
        both[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def from_dict(cls: type[T], values: dict[str, Any], where: str = "configuration") -> T:
    """Make the dataclass ``cls`` from a mapping; every key and type is checked.

    Args:
        cls: the dataclass.
        values: keys are field names; missing ones keep their defaults.
        where: named in error messages.

    Raises:
        UserError: an unknown or missing key, a value of a wrong type, a value that the
            dataclass's own ``__post_init__`` refuses with ValueError.
    """
    assert dataclasses.is_dataclass(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    converted = {}
    for key, value in values.items():
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise UserError(f"{where}: unknown key '{key}'{hint} (known: {', '.join(fields)})")
        converted[key] = _convert(hints[key], value, f"{where}: {key}")
    missing = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and name not in converted
    ]
    if missing:
        raise UserError(f"{where}: missing key '{missing[0]}'")
    try:
        return cls(**converted)  # type: ignore[return-value]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [argument for argument in arguments if argument is not type(None)]
        for option in options[:-1]:
            try:
                return _convert(option, value, where)
            except UserError:
                continue
        return _convert(options[-1], value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UserError(f"{where} must be one of {', '.join(map(str, arguments))}, not '{value}'")
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{where} must be a group of settings, not '{value}'")
        return from_dict(typing.cast(type, hint), value, where)
    if origin in (list, tuple):
        if not isinstance(value, list | tuple):
            raise UserError(f"{where} must be a list, not '{value}'")
        if origin is tuple and arguments[-1] is not Ellipsis:
            if len(arguments) != len(value):
                raise UserError(f"{where} must have {len(arguments)} values, not {len(value)}")
            return tuple(_convert(a, v, where) for a, v in zip(arguments, value, strict=True))
        return origin(_convert(arguments[0], item, where) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} must be a mapping, not '{value}'")
        return {_convert(arguments[0], k, where): _convert(arguments[1], v, where) for k, v in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as a string
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{where} must be {hint.__name__}, not '{value}'")


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON-able values (tuples become lists)."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(config)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
