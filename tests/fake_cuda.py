"""A CUDA device that is none: tensors say cuda:0, hold their values in ordinary memory, and refuse what a GPU refuses.

    with FakeCuda() as device:
        model.to("cuda:0")(features.to("cuda:0"))
    device.waits  # where the program waited for the device, by kind, and how often

Needs torch 2.x.  Under the fake:

- tensors on ``cuda`` are :class:`OnDevice`; every aten operation that mixes them with others fails, but for what
  CUDA allows (a number in a tensor without dimensions beside a pointwise operation, indices from the host);
- ``.numpy()``, a host's lengths where CUDA wants them, a host's generator, fail as there;
- whatever makes the host wait for a GPU is counted with the function of sertools that asked for it: ``read``
  (``.item()``, ``float()``, ``bool()``, ``.tolist()``), ``download`` (``.cpu()``, copies to the host), ``shape``
  (results whose size the device alone knows: ``nonzero``, masks as indices, ``unique``, ``bincount``,
  ``repeat_interleave``), ``checked`` (factorisations that look whether they succeeded) and ``upload`` (copies to the
  device that are not ``non_blocking``);
- a CUDA graph computes nothing while it is recorded, and the same on the same memory when it is played
  (:class:`FakeGraph`).

What it cannot show: kernels, their numbers and times, cuDNN, autocast and streams.  Backward passes are autograd's own.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

CUDA = torch.device("cuda:0")
PACKAGE = str(Path(__file__).parents[1] / "sertools")
GROUP = torch.utils._foreach_utils._group_tensors_by_device_and_dtype

SHAPE = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "nonzero_numpy"}
CHECKED = {"_linalg_check_errors", "linalg_inv_ex", "_linalg_eigh", "linalg_eigh", "linalg_cholesky", "_linalg_svd"}
READ = {"_local_scalar_dense", "is_nonzero", "equal"}
HOST_LENGTHS = {
    "_pack_padded_sequence",
    "_pad_packed_sequence",
    "_pack_padded_sequence_backward",
}  # packing counts on the host
MIXED = HOST_LENGTHS | {"copy_", "copy", "_ctc_loss", "_ctc_loss_backward"}
HOST_INDICES = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_", "_unsafe_index_put"}
MAKES = {"empty", "zeros", "ones", "full", "arange", "rand", "randn", "randint", "randperm", "eye", "linspace",
         "tril_indices", "triu_indices", "scalar_tensor", "hann_window", "empty_strided", "normal"}  # fmt: skip


class OnDevice(torch.Tensor):
    """A tensor that says it is on cuda:0; ``inner`` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnDevice":
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=torch.strided, requires_grad=False,
        )  # fmt: skip

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    device = property(lambda self: CUDA)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def get_device(self) -> int:  # type: ignore[override]
        return 0

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(FakeCuda.current, func, args, kwargs or {})


class _Upload(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # CUDA's memory is its own: what is written there is not seen here
        return OnDevice(x.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient.inner if isinstance(gradient, OnDevice) else gradient


class _Download(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        assert isinstance(x, OnDevice)
        return x.inner.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return OnDevice(gradient)


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _tensors(args: Any, kwargs: Any = None) -> list[Tensor]:
    """Those among arguments, and in lists among them."""
    found = []
    for one in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(one, Tensor):
            found.append(one)
        elif isinstance(one, list | tuple):
            found += [each for each in one if isinstance(each, Tensor)]
    return found


def _inner(one: Any) -> Any:
    if isinstance(one, OnDevice):
        return one.inner
    return [_inner(each) for each in one] if isinstance(one, list | tuple) else one


def _wrapped(one: Any) -> Any:
    if isinstance(one, Tensor):
        return OnDevice(one)
    return type(one)(map(_wrapped, one)) if isinstance(one, list | tuple) else one


@cache
def _aliases(func: Any) -> bool:
    """Whether an operation gives what it got, or a view of it."""
    return any(each.alias_info is not None for each in (*func._schema.arguments, *func._schema.returns))


class WrongDevice(AssertionError):
    """What CUDA would refuse."""


def _check(func: Any, args: Any, kwargs: Any) -> None:
    """Raise where tensors of both devices meet and CUDA would not have it."""
    found = _tensors(args, kwargs)
    ours = [one for one in found if isinstance(one, OnDevice)]
    theirs = [one for one in found if not isinstance(one, OnDevice)]
    name = func.overloadpacket.__name__
    if name == "_pack_padded_sequence" and isinstance(args[1], OnDevice):
        raise WrongDevice("pack_padded_sequence wants its lengths on the host")
    if ours and isinstance(kwargs.get("generator"), torch.Generator):
        raise WrongDevice(f"{func}: a host's generator for a tensor on cuda")
    if not ours or not theirs or name in MIXED:
        return
    if name in HOST_INDICES:
        if isinstance(args[0], OnDevice) and all(isinstance(t, OnDevice) or t.dim() == 0 for t in _tensors(args[2:])):
            return
    elif torch.Tag.pointwise in func.tags and all(t.dim() == 0 for t in theirs):
        if not (func._schema.name.endswith("_") and not isinstance(args[0], OnDevice)):
            return
    elif name in ("masked_fill", "masked_fill_", "fill_", "index_fill", "index_fill_") and all(
        t.dim() == 0 for t in theirs
    ):
        return
    shapes = [f"{'cuda' if isinstance(t, OnDevice) else 'cpu'} {tuple(t.shape)}" for t in found]
    raise WrongDevice(f"{func}: tensors on two devices ({', '.join(shapes)})")


def _run(fake: "FakeCuda | None", func: Any, args: Any, kwargs: Any) -> Any:
    name = func.overloadpacket.__name__
    _check(func, args, kwargs)
    found = _tensors(args, kwargs)
    on_device = any(isinstance(one, OnDevice) for one in found)
    if fake is not None and on_device:
        _count(fake, name, args, kwargs)
    if name == "copy_" and isinstance(args[1], OnDevice) != isinstance(args[0], OnDevice):
        down = isinstance(args[1], OnDevice)
        if fake is not None and (down or not (len(args) > 2 and args[2])):
            fake.wait("download" if down else "upload")
        target, source = (one.inner if isinstance(one, OnDevice) else one for one in args[:2])
        target.copy_(source)
        return args[0]
    inner_args, inner_kwargs = [_inner(one) for one in args], {key: _inner(value) for key, value in kwargs.items()}
    if fake is not None and fake.recording is not None:
        result = fake.recording.record(func, inner_args, inner_kwargs)
    else:
        result = func(*inner_args, **inner_kwargs)
    # what C++ makes in the middle of an operation on the device is there, too
    made = not found and fake is not None and fake.inside and name in MAKES
    if not on_device and not made:
        return result
    if name in READ:
        return result
    if name in HOST_LENGTHS and isinstance(result, tuple):
        return OnDevice(result[0]), result[1]
    result = _wrapped(result)
    return return_and_correct_aliasing(func, args, kwargs, result) if on_device and _aliases(func) else result


def _count(fake: "FakeCuda", name: str, args: Any, kwargs: Any) -> None:
    if name in READ:
        fake.wait("read")
    elif name in SHAPE or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        fake.wait("shape")
    elif name in CHECKED:
        fake.wait("checked")
    elif name in HOST_INDICES and isinstance(args[0], OnDevice):
        indices = _tensors(args[1])
        masks = [one for one in indices if one.dtype in (torch.bool, torch.uint8)]
        # a number where a mask is true needs no count of them
        filled = "put" in name and len(masks) == len(indices) == 1 and args[2].numel() == 1
        if masks and not filled:
            fake.wait("shape")
        if any(not isinstance(one, OnDevice) for one in indices):
            fake.wait("upload")


class _Dispatch(TorchDispatchMode):
    def __init__(self, fake: "FakeCuda") -> None:
        super().__init__()
        self.fake = fake

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(self.fake, func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Before dispatch: where a device is named, and what leaves torch."""

    def __init__(self, fake: "FakeCuda") -> None:
        super().__init__()
        self.fake = fake

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        subject = args[0] if args else None
        if name == "_pad_packed_sequence" and isinstance(subject, OnDevice):
            return _unpacked(*args)
        if isinstance(subject, Tensor):
            special = self._of_tensor(name, subject, args, kwargs)
            if special is not NotImplemented:
                return special
        if _is_cuda(kwargs.get("device")) and name != "pin_memory":
            if self.fake.recording is not None:
                raise WrongDevice(f"{name} while a graph is recorded: give it a tensor that is there")
            generator = kwargs.get("generator")
            if isinstance(generator, torch.Generator):
                raise WrongDevice(f"{name}: a host's generator for a tensor on cuda")
            result = func(*args, **kwargs | {"device": "cpu"})
            if name in ("tensor", "as_tensor", "asarray"):
                self.fake.wait("upload")
            return result if isinstance(result, OnDevice) else _Upload.apply(result)
        if "device" in kwargs and kwargs["device"] is not None and any(isinstance(a, OnDevice) for a in args):
            # x.new_zeros(..., device="cpu"), torch.zeros_like(x, device="cpu")
            with self.fake.within(False):
                return func(*map(_inner, args), **kwargs)
        with self.fake.within(any(isinstance(one, OnDevice) for one in _tensors(args, kwargs))):
            return func(*args, **kwargs)

    def _of_tensor(self, name: str, x: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        here = isinstance(x, OnDevice)
        if name == "to":
            return self._to(x, args[1:], kwargs)
        if name == "cuda":
            return self._to(x, (CUDA,), {"non_blocking": kwargs.get("non_blocking", False)})
        if name == "pin_memory":
            if here:
                raise WrongDevice("pin_memory of a tensor on cuda")
            pinned = x.clone()
            pinned.is_fetched = True  # type: ignore[attr-defined]
            return pinned
        if name == "type_as":
            return self._to(x, args[1:], kwargs)
        if not here:
            return NotImplemented
        assert isinstance(x, OnDevice)
        if name == "cpu":
            return self._to(x, ("cpu",), {})
        if name in ("numpy", "__array__"):
            raise WrongDevice("numpy of a tensor on cuda")
        if name == "data_ptr":
            raise WrongDevice("the address of a tensor on cuda")
        if name == "tolist":
            self.fake.wait("read")
            return x.inner.detach().tolist()
        if name == "new_tensor" and kwargs.get("device") is None:
            self.fake.wait("upload")
            return _Upload.apply(torch.tensor(args[1], dtype=kwargs.get("dtype") or x.dtype))
        return NotImplemented

    def _to(self, x: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        kwargs = dict(kwargs)
        if args and isinstance(args[0], Tensor):
            other = args[0]
            device, dtype = other.device, other.dtype
            non_blocking = bool(kwargs.get("non_blocking", False) or (len(args) > 1 and args[1]))
        else:
            kwargs.pop("copy", None)
            memory_format = kwargs.pop("memory_format", None)
            device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
            if memory_format is not None:
                x = x.contiguous(memory_format=memory_format)
        here, there = isinstance(x, OnDevice), _is_cuda(device) if device is not None else isinstance(x, OnDevice)
        if here != there:
            if here or not non_blocking:
                self.fake.wait("download" if here else "upload")
            elif not hasattr(x, "is_fetched"):
                self.fake.staged[_asker()] += 1
            x = _Upload.apply(x) if there else _Download.apply(x)
        with torch._C.DisableTorchFunction():
            return x if dtype is None else Tensor.to(x, dtype)


def _unpacked(
    data: Tensor, batch_sizes: Tensor, batch_first: bool, padding: float, total: int
) -> tuple[Tensor, Tensor]:
    """torch's, which reads what it has made."""
    sizes = batch_sizes.tolist()
    pieces = [F.pad(piece, (0, 0, 0, sizes[0] - len(piece)), value=padding) for piece in data.split(sizes)]
    pieces += [torch.full_like(pieces[0], padding)] * (total - len(sizes))
    lengths = (batch_sizes[None] > torch.arange(sizes[0])[:, None]).sum(1)
    return torch.stack(pieces, 0 if not batch_first else 1), lengths


def _grouped(tensors: Any, with_indices: bool = False) -> Any:
    """torch's, whose C++ does not see the device that a tensor says it is on."""
    return {
        (CUDA if isinstance(one[0][0][0], OnDevice) else device, dtype): one
        for (device, dtype), one in GROUP(tensors, with_indices).items()
    }


def _asker() -> str:
    """The function of sertools that asked for it."""
    frame: Any = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "outside"
    module = Path(frame.f_code.co_filename[len(PACKAGE) + 1 :]).with_suffix("").as_posix().replace("/", ".")
    return f"{module}.{frame.f_code.co_name}"


class FakeGraph:
    """A CUDA graph: what is recorded computes nothing until it is replayed, and then on the same memory.

    It has the operations with their tensors.  Results that are made while it is recorded are filled with NaN at its
    end, and what was written to is put back: whoever looks before a replay gets nothing of use.
    """

    made = 0
    replayed = 0

    def __init__(self) -> None:
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        if capture_error_mode != "thread_local":
            raise WrongDevice("threads that upload batches would spoil the recording")
        assert FakeCuda.current is not None
        FakeCuda.current.recording = self
        FakeGraph.made += 1

    def record(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Compute, so that there are results, and keep what was computed with."""
        written = _written(func, args, kwargs)
        self._before += [(one, one.clone()) for one in written]
        result = func(*args, **kwargs)
        if written or not _aliases(func):  # a view needs nothing: it sees what its memory has
            self._calls.append((func, args, kwargs, result))
        return result

    def capture_end(self) -> None:
        assert FakeCuda.current is not None
        FakeCuda.current.recording = None
        for one, value in reversed(self._before):
            one.copy_(value)
        for func, _, _, result in self._calls:
            for one in () if _aliases(func) else _tensors([result] if isinstance(result, Tensor) else result):
                one.fill_(torch.nan if one.is_floating_point() else -1)

    def replay(self) -> None:
        FakeGraph.replayed += 1
        for func, args, kwargs, result in self._calls:
            again = func(*args, **kwargs)
            if not _aliases(func):
                for old, new in zip(*(_tensors([r] if isinstance(r, Tensor) else r) for r in (result, again)),
                                    strict=True):  # fmt: skip
                    old.copy_(new.view_as(old))


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Arguments that an operation writes to."""
    found: list[Tensor] = []
    if torch.Tag.inplace_view in func.tags:  # of which it changes the shape alone
        return found
    for number, each in enumerate(func._schema.arguments):
        if each.alias_info is not None and each.alias_info.is_write:
            value = kwargs.get(each.name, args[number] if number < len(args) else None)
            found += _tensors([value])
    return found


class FakeCuda:
    """See the module; a context manager.

    Attributes:
        waits: (kind, "module.function" of sertools) to how often.
        staged: "module.function" to how often it uploads, ``non_blocking``, what is not in pinned memory, which CUDA
            copies twice.
    """

    current: "FakeCuda | None" = None

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.staged: Counter[str] = Counter()
        self.recording: FakeGraph | None = None
        self._local = threading.local()
        self._stack = ExitStack()

    def __enter__(self) -> "FakeCuda":
        FakeCuda.current = self
        stack = self._stack
        stack.callback(setattr, FakeCuda, "current", None)
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
        autocast = torch.autocast

        def hosts_autocast(device_type: str, *args: Any, **kwargs: Any) -> Any:
            return autocast("cpu", *args, **kwargs)

        for target, name, value in (
            (torch, "autocast", hosts_autocast),
            (torch.cuda, "is_available", lambda: True),
            (torch.cuda, "device_count", lambda: 1),
            (torch.cuda, "current_device", lambda: 0),
            (torch.cuda, "get_arch_list", lambda: ["sm_90"]),
            (torch.cuda, "get_device_capability", lambda device=None: (9, 0)),
            (torch.cuda, "get_device_name", lambda device=None: "a fake GPU"),
            (torch.cuda, "mem_get_info", lambda device=None: (80 << 30, 80 << 30)),
            (torch.cuda, "is_bf16_supported", lambda *_: True),
            (torch.cuda, "get_rng_state", lambda device=None: torch.zeros(16, dtype=torch.uint8)),
            (torch.cuda, "set_rng_state", lambda state, device=None: None),
            (torch.cuda, "synchronize", lambda device=None: None),
            # of which wrappers have no notion
            (torch._C, "_InferenceMode", lambda mode: torch.no_grad() if mode else nullcontext()),
            (torch.cuda, "CUDAGraph", FakeGraph),
            (torch.cuda, "Stream", mock.MagicMock),
            (torch.cuda, "current_stream", mock.MagicMock()),
            (torch.cuda, "stream", lambda stream: nullcontext()),
            (torch.cuda, "device", lambda device: nullcontext()),
            (torch.backends.cudnn, "is_acceptable", lambda tensor: False),
            (torch.nn.utils.clip_grad, "_group_tensors_by_device_and_dtype", _grouped),
            (torch.autograd, "_engine_run_backward", self._in_backward(torch.autograd._engine_run_backward)),
            (threading.Thread, "run", self._in_thread(threading.Thread.run)),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        stack.enter_context(_Dispatch(self))
        stack.enter_context(_Functions(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _in_backward(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Backward passes in Python are looked at, too: in a call that it handles, a mode is off."""

        def both(*args: Any, **kwargs: Any) -> Any:
            with self.within(True), _Functions(self):
                return run(*args, **kwargs)

        return both

    def _in_thread(self, run: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
        """Threads that are started meanwhile are under the fake, too."""

        def both(thread: threading.Thread) -> None:
            with _Dispatch(self), _Functions(self):
                run(thread)

        return both

    @property
    def inside(self) -> bool:
        """Whether tensors that C++ makes now, in this thread, are made for the device."""
        return getattr(self._local, "inside", False)

    def wait(self, kind: str) -> None:
        """Count a wait of the host."""
        if self.recording is not None:
            raise WrongDevice(f"the host waits for the device ({kind}) while a graph is recorded")
        self.waits[kind, _asker()] += 1

    @contextmanager
    def within(self, inside: bool) -> Iterator[None]:
        """Say so."""
        before, self._local.inside = self.inside, inside
        try:
            yield
        finally:
            self._local.inside = before

    @contextmanager
    def counting(self) -> Iterator[Counter[tuple[str, str]]]:
        """Count the waits of a block alone."""
        before, self.waits = self.waits, Counter()
        try:
            yield self.waits
        finally:
            self.waits = before + self.waits


def on_host(call: Callable[[], Any]) -> Any:
    """What ``call`` gives, with tensors brought back without being counted (to compare)."""
    return tree_map_only(OnDevice, lambda one: one.inner.detach(), call())
