"""Training by several processes, on one or more machines, that share every batch.

A batch of the plan is one update, however many processes there are: each takes its part of the
utterances (:class:`sertools.data.batching.Split`), batch normalisation adds up its sums over all
(:class:`sertools.models.frame_ops.Share`), and torch's DistributedDataParallel the gradients, layer by
layer while the backward pass still runs (:mod:`sertools.training.gradients`).  The whole loss is a mean
weighted by frames, so every process scales its own by its part of the weight.  N processes do the
updates of one, but for rounding; nothing is dropped or seen twice, and a training goes on with another
number of them.

Tensors travel by NCCL between GPUs, by gloo between CPUs; numbers and messages always by gloo.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sertools.data.batching import Part, Split
from sertools.errors import UserError
from sertools.models.frame_ops import Share

T = TypeVar("T")
START, WAIT = timedelta(minutes=10), timedelta(minutes=30)
DRIFT = 1e-4  # relative to the largest value of a tensor: far above an epoch's rounding, below a missed update
FAILURE = "failure"
LOST = ("connection", "gloo", "nccl", "timed out", "socket", "broken pipe")


class Stopped(Exception):
    """Training was asked to stop; its state is saved, and the same command goes on."""


@dataclass(frozen=True)
class Group:
    """The processes that share a training; by default one, which then waits for nobody.

    Attributes:
        rank: number of this process, from 0.
        size: of how many.
        device: of this process: cpu, cuda:0, ...
        tensors: torch's process group for tensors on ``device``; None for the default group.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    tensors: Any = None

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    @property
    def split(self) -> Split:
        """Which part of every batch is this process's."""
        return Split(self.rank, self.size)

    def share(self, part: Part | None) -> Share | None:
        """What the layers of a model need to know of a part."""
        return None if part is None else Share(part.rows, part.size, part.counts, self.add)

    def add(self, values: Tensor) -> Tensor:
        """Add up a tensor over all processes, in place; gives it back."""
        if self.size > 1:
            dist.all_reduce(values, group=self.tensors)
        return values

    def totals(self, *values: float) -> list[float]:
        """Sums of numbers over all processes."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, *values: float) -> list[float]:
        """The largest of numbers over all processes."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def any_of(self, *flags: bool) -> list[bool]:
        """Whether a flag is set in any process."""
        return [value > 0 for value in self.largest(*map(float, flags))]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in their order, in each."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the first process; it is not called in the others, which wait."""
        values = [make()] if self.first else [None]
        if self.size > 1:
            dist.broadcast_object_list(values, 0)
        return values[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Wait for all."""
        self.totals(0.0)

    def check_same(self, value: Any, otherwise: str) -> None:
        """Raise UserError, in all processes, if they do not have the same value."""
        values = self.gather(value)
        if any(each != values[0] for each in values):
            raise UserError(otherwise)

    @torch.no_grad()
    def check_weights(self, model: nn.Module) -> None:
        """Make sure that all have the same weights; rounding that differs between machines is evened out.

        Raises:
            UserError: they differ by more than rounding, in all processes.
        """
        if self.size == 1:
            return
        worst, where = 0.0, ""
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            theirs = value.clone()
            dist.broadcast(theirs, 0, group=self.tensors)
            apart = float((value - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6)) if value.numel() else 0.0
            if not apart <= worst:
                worst, where = apart, name
            value.copy_(theirs)
        told = max(self.gather((worst, where)))
        if not told[0] <= DRIFT:
            raise UserError(
                f"the processes' weights have become different (by {told[0]:.2g} in {told[1]}): this is an error in "
                "the program or in a machine; the state that was saved last is sound"
            )

    def _reduced(self, values: tuple[float, ...], how: Any) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, how)
        return tensor.tolist()  # type: ignore[no-any-return]


SINGLE = Group()


@contextmanager
def join(rank: int, size: int, address: str, port: int, device: str) -> Iterator[Group]:
    """Meet the other processes, and leave together.

    Of an exception in the block, the first to fail tells the others, which raise UserError when next
    they need something of it; Stopped and SystemExit are expected in all at the same point.

    Args:
        rank, size: see :class:`Group`.
        address, port: where the first process listens.
        device: of this process.

    Raises:
        UserError: not all came; another process failed, or is gone.
    """
    if size == 1:
        yield Group(device=device)
        return
    try:
        store = dist.TCPStore(address, port, size, rank == 0, START)
        # torch 1.13's store begins without those who do not come in time
        if store.add("here", 1) == size:
            store.set("all are here", "")
        store.wait(["all are here"], START)
        dist.init_process_group("gloo", store=dist.PrefixStore("group", store), rank=rank, world_size=size,
                                timeout=WAIT)  # fmt: skip
    except RuntimeError as error:
        raise UserError(f"process {rank} of {size} cannot meet the others at {address}:{port}: {error}") from error
    try:
        group = Group(rank, size, device, _tensor_group(device))
        yield group
    except (Stopped, SystemExit):
        _leave()
        raise
    except Exception as error:
        told = _failure(store, rank, size, error)
        if told is None:
            raise
        raise UserError(told) from error
    _leave()


def _leave() -> None:
    dist.barrier()
    dist.destroy_process_group()


def _tensor_group(device: str) -> Any:
    kinds: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(kinds, device.partition(":")[0])
    if len(set(kinds)) > 1:
        raise UserError(f"some processes have a GPU and some have none ({', '.join(kinds)}); give --device cpu")
    if kinds[0] != "cuda":
        return None
    torch.cuda.set_device(device)
    return dist.new_group(backend="nccl", timeout=WAIT)


def _failure(store: Any, rank: int, size: int, error: Exception) -> str | None:
    """Tell the others of an error; what to say of it here if it began elsewhere, else None."""
    text = str(error) or type(error).__name__
    lost = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in LOST)
    try:
        told = store.compare_set(FAILURE, "", "" if lost else f"{rank}\n{text}").decode()
    except RuntimeError:
        told = ""
        lost = lost or rank != 0
    who, _, what = told.partition("\n")
    if told and int(who) != rank and what != text:
        return f"process {who} of {size} failed: {what}"
    if lost and not told:
        # where all have it (NCCL, the network), this is the only place that tells
        return (
            f"another of the {size} processes has ended, or cannot be reached; its own messages say why. "
            f"Here it is seen as: {text}"
        )
    return None
