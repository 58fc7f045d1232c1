"""YAML and JSON files, whoever wrote them: what is read is checked, and bounded in size and depth.

Nothing in them is executed; what stands twice, repeats itself without end or is no regular file is refused.
"""

import codecs
import json
import os
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sertools.errors import UserError

MAX_YAML_BYTES = 1 << 20
"""Of a configuration: some hundred times the longest that anyone writes by hand."""
MAX_JSON_BYTES = 1 << 29
"""Of folds, stamps and results, which grow with a corpus."""
WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MAX_DEPTH = 50
"""Lists and groups inside each other."""
MAX_VALUES = 100_000
"""Of a YAML file, those that its aliases (``*name``) repeat counted as often as they stand there."""


def read_yaml(path: Path | str) -> Any:
    """The values of a YAML file: plain ones only, no key twice.

    Raises:
        UserError: it is missing, no regular file, too large, not UTF-8, not YAML, or would do harm.
    """
    return parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """As :func:`read_yaml`, of a text; ``where`` names it in messages."""
    try:
        return _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{where} is not valid YAML: {_explained(error)}") from error
    # a RecursionError cannot come of the values, whose depth is bounded, but may of a token
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{where} is not valid YAML: {error}") from error


def read_json(path: Path | str, then: str = "") -> Any:
    """The values of a JSON file, no key twice in an object.

    Args:
        path: the file.
        then: what to do about a file that is damaged, for the message.

    Raises:
        UserError: it is missing, no regular file, too large, not UTF-8 or not JSON.
    """
    text = read_text(path, MAX_JSON_BYTES, then)
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}){_end(then)}") from error


def parse_json(text: str) -> Any:
    """The values of a text.

    Raises:
        ValueError: it is not JSON, a key stands twice in an object, or it is too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("lists inside each other without end") from None


def read_text(path: Path | str, max_bytes: int, then: str = "") -> str:
    """The text of a regular file in UTF-8, with or without a byte order mark.

    Raises:
        UserError: it is missing, a pipe or a device, larger than ``max_bytes``, or not UTF-8.
    """
    path = Path(path)
    try:
        # without O_NONBLOCK a pipe would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist{_end(then)}") from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path} is a folder, and a file is needed{_end(then)}")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is a pipe or a device, and a regular file is needed{_end(then)}")
        if status.st_size > max_bytes:
            raise UserError(
                f"{path} has {status.st_size} bytes, and at most {max_bytes} are read; is it what it should be?"
            )
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(max_bytes)
    finally:
        os.close(descriptor)
    return decoded(content, str(path), then)


def decoded(content: bytes, where: str, then: str = "") -> str:
    """Bytes as UTF-8, without a byte order mark.

    Raises:
        UserError: they are something else; the message says what, and how it is converted.
    """
    if content.startswith(WIDE_MARKS):
        raise UserError(f"{where} is UTF-16 or UTF-32, as Windows writes 'Unicode'; save it as UTF-8 (or use iconv)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{where} is not UTF-8 (byte 0x{content[error.start]:02x} in line {line}), perhaps Latin-1 or a binary "
            f"file; convert it: iconv -f latin1 -t utf-8 IN > OUT{_end(then)}"
        ) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses keys that stand twice, aliases without end, and depth."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} groups inside each other", problem_mark=mark)
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        # an alias to what is not complete yet stands inside of it
        if alias and id(node) not in self._sizes:
            raise yaml.MarkedYAMLError(problem="an alias inside what it stands for", problem_mark=node.start_mark)
        if not alias:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(inner)] for inner in _inside(node))
        if self._sizes[id(node)] > MAX_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_VALUES} values", problem_mark=node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen and name is not None:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{name}' stands twice in one group; make one of them", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _explained(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML says, in one line."""
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + ", ".join(text for text in (error.context, error.problem) if text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return made


def _end(then: str) -> str:
    return f"; {then}" if then else ""
