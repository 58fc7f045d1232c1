"""The pickles inside of PyTorch files, interpreted so that nothing can be called.

A pickle is a program for a stack machine (PEP 307, PEP 3154); Python's own machine imports and calls
whatever the program names.  This one knows a fixed list of names, each of which stands for a record
made here.  Any other name becomes a :class:`Refused`, and so does all that is made from one.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from io import RawIOBase
from typing import Any, BinaryIO

from sertools.errors import UserError

MOST_STEPS = 20_000_000
"""Instructions in a pickle; a network of a thousand tensors has some ten thousand."""

SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "complex64": 8, "complex128": 16,
}  # fmt: skip
"""Bytes of a number of each dtype."""
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """What would have come of a call that is never made.

    Attributes:
        name: of what would have been called, as ``module.function``, fit to be printed.
        state: what the pickle would have set on it (an object's attributes), read like all else; None for nothing.
    """

    name: str
    state: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", "".join(c if c.isprintable() else "?" for c in self.name[:200]))


@dataclass(frozen=True)
class Name:
    """A name out of the list below."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Numbers in the file: their dtype, the key of the record, and how many (of that dtype)."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor: a storage, and which of its numbers; all in numbers of ``dtype``."""

    storage: Storage
    dtype: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Mapping(dict[Any, Any]):
    """An OrderedDict; attributes that the pickle gives it (``_metadata``) are dropped."""


def run(stream: BinaryIO | RawIOBase) -> Any:
    """Interpret one pickle; the stream is then behind it.

    Returns:
        dicts, lists, tuples, texts, numbers, None, :class:`View`, :class:`Storage`, and
        :class:`Refused` for everything else.

    Raises:
        UserError: it is not a pickle, or a broken one.
    """
    machine = _Machine()
    try:
        for steps, (code, argument, _) in enumerate(pickletools.genops(stream)):  # type: ignore[arg-type]
            if steps > MOST_STEPS:
                raise UserError(f"a pickle of more than {MOST_STEPS} steps")
            machine.step(code.name, argument)
        (result,) = machine.stack
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"a pickle that is broken or of an unknown kind ({error})") from error
    return result


class _Mark:
    """What MARK puts on the stack."""


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """One instruction; names are those of :mod:`pickletools`."""
        stack = self.stack
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _ARGUMENTS:
            stack.append(argument)
        elif name in ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"):
            stack.append(Refused("bytes"))
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self.after_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            self.build(name, argument)

    def build(self, name: str, argument: Any) -> None:
        """An instruction that makes something out of what is on the stack."""
        stack = self.stack
        if name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise IndexError("an empty stack")
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = self.after_mark()
            stack.append(tuple(items) if name == "TUPLE" else _filled(Mapping(), items) if name == "DICT" else items)
        elif name == "APPEND":
            _extend(stack[-2], [stack.pop()])
        elif name in ("APPENDS", "ADDITEMS"):
            items = self.after_mark()
            _extend(stack[-1], items)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _filled(stack[-1], [key, value])
        elif name == "SETITEMS":
            items = self.after_mark()
            _filled(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            last, module = stack.pop(), stack.pop()
            stack.append(_named(module, last))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, callee = stack.pop(), stack.pop()
            stack.append(_called(callee, arguments))
        elif name in ("BINPERSID", "PERSID"):
            stack.append(_storage(stack.pop() if name == "BINPERSID" else argument))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], Refused):
                stack[-1] = Refused(stack[-1].name, state)
            elif not isinstance(stack[-1], Mapping):
                stack[-1] = Refused(f"{_describe(stack[-1])}.__setstate__")
        elif name in ("NEWOBJ_EX", "OBJ", "INST"):
            items = [] if name == "NEWOBJ_EX" else self.after_mark()
            if name == "NEWOBJ_EX":
                callee = stack[-3]
                del stack[-3:]
            else:
                callee = _named(*argument.split(" ", 1)) if name == "INST" else items[0]
            stack.append(Refused(_describe(callee)))
        else:
            raise UserError(f"a pickle with the instruction {name}, which is not read")

    def after_mark(self) -> list[Any]:
        """What is above the last mark, taken off the stack with it."""
        for position in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[position], _Mark):
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise IndexError("no mark")


_IGNORED = ("PROTO", "FRAME", "STOP")
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": Mapping, "EMPTY_LIST": list, "EMPTY_SET": list, "MARK": _Mark}
_ARGUMENTS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
)  # fmt: skip


def _filled(target: Any, items: list[Any]) -> Any:
    if isinstance(target, Refused):
        return target
    if not isinstance(target, Mapping) or len(items) % 2:
        raise TypeError("items for what is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # keys are hashed, so they may not hold what the pickle made
        if not isinstance(key, str | int | float | None) or (isinstance(key, int) and key.bit_length() > 64):
            target[f"<{_describe(key)}>"] = Refused(f"a key that is a {_describe(key)}")
        else:
            target[key] = value
    return target


def _extend(target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target += items
    elif not isinstance(target, Refused):
        raise TypeError("items for what is not a list")


def _named(module: Any, name: Any) -> Name | Refused:
    if not isinstance(module, str) or not isinstance(name, str):
        return Refused("a name that the file computes")
    full = f"{module}.{name}"
    of_torch = module in ("torch", "torch.cuda", "torch.storage")
    if full in _CALLS or (of_torch and (name in STORAGES or name in SIZES)):
        return Name(full)
    return Refused(full)


def _called(callee: Any, arguments: Any) -> Any:
    name = callee.name if isinstance(callee, Name) else None
    if name in _CALLS and isinstance(arguments, tuple):
        made = _CALLS[name](*arguments)
        if made is not None:
            return made
    return Refused(_describe(callee))


def _describe(value: Any) -> str:
    return value.name if isinstance(value, Name | Refused) else type(value).__name__


def _storage(identity: Any) -> Storage | Refused:
    """``("storage", type, key, device, count)``, and in the old format a sixth, the view, which is None."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        return Refused("a reference to something outside of the file")
    kind, key, count = identity[1], identity[2], identity[4]
    dtype = STORAGES.get(kind.name.rpartition(".")[2]) if isinstance(kind, Name) else None
    if dtype is None or not isinstance(key, str) or not _natural(count) or identity[5:] not in ((), (None,)):
        return Refused(f"a storage of the kind {_describe(kind)}")
    return Storage(dtype, key, count)


def _natural(*values: Any) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 for value in values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any, dtype: str | None = None) -> Any:
    """``torch._utils._rebuild_tensor`` and ``_v2``: what follows (gradients, hooks) is not used."""
    if isinstance(storage, Refused):
        return storage
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        return None
    if not _natural(offset, *size, *stride) or len(size) != len(stride):
        return None
    return View(storage, dtype or storage.dtype, offset, size, stride)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any, *_: Any
) -> Any:
    name = dtype.name.rpartition(".")[2] if isinstance(dtype, Name) else ""
    return _tensor(storage, offset, size, stride, dtype=name) if name in SIZES else None


def _parameter(data: Any, *_: Any) -> Any:
    return data if isinstance(data, View | Refused) else None


def _ordered(items: Any = ()) -> Any:
    """``OrderedDict()`` or, in old files, ``OrderedDict([[key, value], ...])``."""
    made = Mapping()
    for pair in items if isinstance(items, list | tuple) else ():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return None
        _filled(made, list(pair))
    return made


def _size(values: Any) -> Any:
    return values if isinstance(values, tuple) and _natural(*values) else None


def _device(*parts: Any) -> Any:
    return ":".join(str(part) for part in parts) if all(isinstance(part, str | int) for part in parts) else None


# each gives None for arguments that it does not know
_CALLS: dict[str | None, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
}
