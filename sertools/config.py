"""Configurations: YAML files into dataclasses, strictly."""

import dataclasses
import datetime
import difflib
import os
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sertools.documents import parse_yaml, read_yaml
from sertools.errors import UserError
from sertools.limits import check_setting

T = TypeVar("T")
_NAMES = {
    bool: "yes or no", int: "a number", float: "a number", type(None): "nothing", datetime.date: "a date",
    datetime.datetime: "a date",
}  # fmt: skip


@dataclass(frozen=True)
class ConfigFiles:
    """What ``--config`` and ``--overlay`` name.

    Attributes:
        files: YAML files, the later over the earlier; ``demo.yaml:corpus`` is a group of a file.  A line
            ``base: OTHER.yaml`` in one takes another file's settings (its path relative to this one's), and
            what follows changes them; ``base: [A.yaml, B.yaml]`` those of A changed by B.
        overlays: places of settings that go over a file, and over each that it is based on, of the same name,
            the later over the earlier: a folder of such files, or a YAML file with a group for each: ``NAME``, or
            ``FOLDER/NAME`` where files of several folders are called so.  With overlays a file of ``files`` need
            not be there itself, if one of them has it.
    """

    files: tuple[Path, ...] = ()
    overlays: tuple[Path, ...] = ()


def load_config(cls: type[T], path: Path | str | ConfigFiles | None = None, overrides: Sequence[str] = ()) -> T:
    """Read a dataclass from YAML files, then apply ``key=value`` overrides.

    Args:
        cls: a dataclass; nested dataclasses are nested mappings in the file.
        path: the file or files; None for the defaults of ``cls``.
        overrides: such as ``training.epochs=3``; values are YAML.

    Raises:
        UserError: no such file, not YAML, files that are based on each other in a circle, an unknown
            key, a key that stands twice, a value of a wrong type.
    """
    return from_dict(cls, *read_values(path, overrides))


def read_values(
    path: Path | str | ConfigFiles | None = None, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], str]:
    """The settings of files with ``key=value`` overrides, and where they are from (for messages).

    For who must look at a setting to know the dataclass; see :func:`load_config`.
    """
    given = path if isinstance(path, ConfigFiles) else ConfigFiles(() if path is None else (Path(path),))
    if given.overlays and not given.files:
        raise UserError("--overlay goes over --config, which is not given")
    values: dict[str, Any] = {}
    where = "defaults"
    for file in given.files:
        read, layers = _read(file, given.overlays, (), [])
        values = _merged(values, read)
        where = " over ".join(reversed(layers)) + (f" over {where}" if where != "defaults" else "")
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
        target[last] = parse_yaml(text, f"--set {item}")
        where = f"{where} with --set {item}" if "--set" not in where else where
    return values, where


def files_read(given: ConfigFiles) -> list[Path]:
    """The files from which :func:`load_config` takes settings: those given, their bases, and what is laid over each.

    Raises:
        UserError: see :func:`load_config`.
    """
    found: list[Path] = []
    for file in given.files:
        _read(file, given.overlays, (), found)
    return list(dict.fromkeys(found))


def _read(
    path: Path, overlays: Sequence[Path], above: tuple[Path, ...], found: list[Path]
) -> tuple[dict[str, Any], list[str]]:
    """The settings of a file, of those it is based on and of what is laid over them, and the names of its layers.

    Args:
        path: the file; without overlays it must be there.
        overlays: see :class:`ConfigFiles`.
        above: the files that led here by ``base``.
        found: each file that is read is appended.
    """
    top = above[0] if above else path
    layers = _own_layer(path)
    for overlay in overlays:
        if overlay.suffix == ".yaml":
            groups = read_yaml(overlay) or {}
            if not isinstance(groups, dict):
                raise UserError(f"{overlay}: expected a group of settings for each file that it changes")
            for group in (path.stem, f"{path.parent.name}/{path.stem}"):
                if group in groups:
                    layers.append((f"{overlay}:{group}", overlay, groups[group]))
        else:
            # the overlay's folder stands for that of the first file
            file = Path(os.path.normpath(overlay / os.path.relpath(path, top.parent)))
            if file.exists():
                layers.append((str(file), file, read_yaml(file)))
    if not layers:
        raise UserError(_missing(path, overlays, above))
    found += [file for _, file, _ in layers]
    values: dict[str, Any] = {}
    read: set[str] = set()
    for name, file, settings in layers:
        for base in _bases(name, settings):
            other = path.parent / base
            if not other.exists() and (file.parent / base).exists() and file.parent != path.parent:
                other = file.parent / base
            if other.resolve() in {p.resolve() for p in (*above, path)}:
                raise UserError(f"{name}: its base {base} is based on it")
            if base not in read:
                read.add(base)
                values = _merged(values, _read(other, overlays, (*above, path), found)[0])
    for _, _, settings in layers:
        values = _merged(values, {key: value for key, value in (settings or {}).items() if key != "base"})
    return values, [name for name, _, _ in layers]


def _own_layer(path: Path) -> list[tuple[str, Path, Any]]:
    """A file, or a group of one (``demo.yaml:corpus``); none if it is not there."""
    if path.exists():
        return [(str(path), path, read_yaml(path))]
    name, colon, group = path.name.rpartition(":")
    file = path.with_name(name) if colon and name else path
    groups = read_yaml(file) if file.exists() else None
    return [(str(path), file, groups[group])] if isinstance(groups, dict) and group in groups else []


def _bases(name: str, settings: Any) -> list[str]:
    """What a file's settings are based on; they are checked to be settings."""
    if settings is None:
        return []
    if not isinstance(settings, dict):
        raise UserError(f"{name}: expected 'key: value' lines")
    bases = settings.get("base", [])
    bases = bases if isinstance(bases, list) else [bases]
    for base in bases:
        if not isinstance(base, str):
            raise UserError(f"{name}: base must be the name of another file, not '{base}'")
    return bases


def _missing(path: Path, overlays: Sequence[Path], above: tuple[Path, ...]) -> str:
    """That a configuration is not there, and what is: files that begin as it does (folds_), or else all."""
    folders = [path.parent, *(one for one in overlays if one.suffix != ".yaml" and not above)]
    names = sorted({other.name for folder in folders for other in folder.glob("*.yaml")})
    kind, underscore, _ = path.name.partition("_")
    names = [name for name in names if underscore and name.startswith(f"{kind}_")] or names
    near = difflib.get_close_matches(path.name, names, n=1)
    more = f" and {len(names) - 15} more" if len(names) > 15 else ""
    listed = ", ".join(names[:15]) + more if names else "none"
    listed = f"{near[0]}; did you mean that?" if near and len(names) > 15 else listed
    asked = f", the base of {above[-1]}" if above else ""
    beside = "beside it there is" if len(folders) == 1 else f"in {' and '.join(map(str, folders))} there is"
    return f"there is no configuration file {path}{asked}; {beside} {listed}"


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
        check_setting(key, converted[key], f"{where}: {key}")
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
    except (ValueError, TypeError, ZeroDivisionError, OverflowError) as error:
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
        if len(options) > 1 and not any(dataclasses.is_dataclass(one) or typing.get_origin(one) for one in options):
            try:
                return _convert(options[-1], value, where)
            except UserError:
                names = " or ".join(one.__name__ for one in options)
                raise UserError(f"{where} must be {names}, not {_quoted(value)}") from None
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
        try:
            return float(value)
        except OverflowError:
            raise UserError(f"{where} is too large a number") from None
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as a string
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    if hint is str and isinstance(value, bool | int | float | None | datetime.date):
        raise UserError(
            f"{where} must be a text, and without quotes this is {_NAMES[type(value)]}: {value}; put it in quotes"
        )
    raise UserError(f"{where} must be {getattr(hint, '__name__', hint)}, not {_quoted(value)}")


def _quoted(value: Any) -> str:
    return f"'{value}'" if len(str(value)) <= 200 else f"'{str(value)[:200]}...'"


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON-able values (tuples become lists)."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(config)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
