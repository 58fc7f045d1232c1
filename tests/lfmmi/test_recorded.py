"""Stretches of frames that are recorded as CUDA graphs give what frame by frame gives (on the fake device)."""

import gc
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lfmmi_examples import model
from torch import Tensor

from sertools.lfmmi import Lfmmi, LfmmiConfig, dense_scaled, make_denominator, make_numerator, recorded

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

LENGTHS = {"all": [27, 27, 27], "ended": [27, 14, 9], "another number": [27, 21]}


def value_and_gradient(loss: Lfmmi, lengths: list[int], seed: int) -> tuple[Tensor, ...]:
    """Of one batch on the device; back on the host."""
    lm, topology = model("chain", "biphone", 3)
    graphs = [make_numerator([[([2, 3, 1], 0.0)]], 3, 0.3, topology, lm) for _ in lengths]
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(len(lengths), max(lengths), topology.num_pdfs, generator=draw).to("cuda").requires_grad_()
    found = loss(outputs, torch.tensor(lengths), graphs, outputs)
    found.loss.backward()
    assert outputs.grad is not None
    return tuple(one.detach().cpu() for one in (found.numerator, found.denominator, outputs.grad))


@pytest.mark.parametrize("leaky", [0.0, 0.1])
def test_as_frame_by_frame(cuda: "FakeCuda", monkeypatch: pytest.MonkeyPatch, leaky: float) -> None:
    from fake_cuda import FakeGraph

    monkeypatch.setattr(recorded, "FRAMES", dense_scaled.RESCALE_EVERY)
    denominator = make_denominator(*model("chain", "biphone", 3))
    found: dict[str, list[tuple[Tensor, ...]]] = {}
    for asked in ("0", "1"):
        monkeypatch.setenv(recorded.CUDA_GRAPHS, asked)
        monkeypatch.setattr(FakeGraph, "made", 0)
        monkeypatch.setattr(FakeGraph, "replayed", 0)
        with cuda:
            loss = Lfmmi(denominator, LfmmiConfig(leaky_hmm=leaky))
            found[asked] = [value_and_gradient(loss, lengths, 7) for lengths in LENGTHS.values()]
        if asked == "0":
            assert FakeGraph.made == 0
    # numerators once a batch; the denominator, both ways, once for three utterances and once for two
    assert (FakeGraph.made, FakeGraph.replayed) == (3 + 4, 3 * 3 * 3)
    for one, other in zip(found["0"], found["1"], strict=True):
        for left, right in zip(one, other, strict=True):
            assert torch.equal(left, right)


def test_a_stretch_begins_where_it_is_rescaled() -> None:
    assert recorded.FRAMES % dense_scaled.RESCALE_EVERY == 0


WRONG: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "a look at a value": lambda x, y: y.fill_(float(x.sum())),
    "a table of the host": lambda x, y: y.add_(torch.ones(3).to(x.device)),
    "something made": lambda x, y: y.copy_(torch.ones(3, device=x.device)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_recorded(cuda: "FakeCuda", name: str) -> None:
    from fake_cuda import WrongDevice

    with cuda:
        x = torch.zeros(3, device="cuda")
        with pytest.raises(WrongDevice, match="while a graph is recorded"):
            recorded.Recorded(WRONG[name], [x], [torch.zeros_like(x)])


def test_nothing_is_computed_before_it_is_played(cuda: "FakeCuda") -> None:
    def add_one(x: Tensor, y: Tensor) -> None:
        y.copy_(x + 1)

    with cuda:
        x, y = torch.zeros(3, device="cuda"), torch.zeros(3, device="cuda")
        played = recorded.Recorded(add_one, [x], [y])
        assert y.cpu().tolist() == [0, 0, 0]
        played([x + 4], [y])
        assert y.cpu().tolist() == [5, 5, 5]


def test_what_it_works_with_stays(cuda: "FakeCuda") -> None:
    """A graph knows addresses only: nobody else may hold what lies between input and output."""

    class Doubled:
        def __init__(self) -> None:
            self.between = torch.zeros(3, device="cuda")

        def run(self, x: Tensor, y: Tensor) -> None:
            torch.add(x, x, out=self.between)
            y.copy_(self.between)

    with cuda:
        x, work = torch.ones(3, device="cuda"), Doubled()
        there = weakref.ref(work)
        played = recorded.Recorded(work.run, [x], [torch.zeros_like(x)])
        played._graph = None  # type: ignore[assignment]
        del work
        gc.collect()
        assert there() is not None


def test_asked_for_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(recorded.CUDA_GRAPHS, "1")
    assert not recorded.wanted(torch.device("cpu"))
    assert recorded.wanted(torch.device("cuda")) == (torch.__version__ >= "2.1")
    monkeypatch.delenv(recorded.CUDA_GRAPHS)
    assert not recorded.wanted(torch.device("cuda"))
