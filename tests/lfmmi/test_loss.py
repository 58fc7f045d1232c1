"""The loss: values against path enumeration, gradients against finite differences and k2."""

import math

import pytest
import torch
from lfmmi_examples import TOPOLOGIES, model, path_log_prob, text
from torch import Tensor

from sertools.errors import UserError
from sertools.lfmmi import Graph, Lfmmi, LfmmiConfig, make_denominator, make_numerator
from sertools.lfmmi.dense_log import forward_backward
from sertools.lfmmi.dense_shared import SharedGraph

PLAIN = LfmmiConfig(leaky_hmm=0, xent_regularize=0, l2_regularize=0, out_of_range=0)
LEAKY = LfmmiConfig(leaky_hmm=0.1, xent_regularize=0, l2_regularize=0, out_of_range=0)
TRANSCRIPTS = [[[([1, 2], -0.5), ([2], -1.0)], [([2], 0.0)]], [[([2, 3], 0.0)]], [[([3], 0.0)], [([1], 0.0)]]]
LENGTHS = torch.tensor([5, 4, 6])


def batch(kind: str = "chain", context: str = "mono", order: int = 3) -> tuple[Graph, list[Graph], Tensor]:
    """Denominator, numerators and float64 outputs of three utterances."""
    lm, topology = model(kind, context, order, num_extra_states=3)
    graphs = [make_numerator(words, 3, 0.3, topology, lm) for words in TRANSCRIPTS]
    assert all(graph is not None for graph in graphs)
    generator = torch.Generator().manual_seed(7)
    outputs = torch.randn(3, 6, topology.num_pdfs, dtype=torch.float64, generator=generator)
    return make_denominator(lm, topology), [graph for graph in graphs if graph is not None], outputs


def leaky_log_prob(graph: Graph, outputs: Tensor, leaky: float) -> float:
    """Kaldi's leaky HMM, as a product of dense matrices."""
    initial = graph.initial.double().exp()
    leak = torch.eye(graph.num_states, dtype=torch.float64) + leaky * torch.outer(torch.ones_like(initial), initial)
    alpha = initial @ leak
    for frame in outputs:
        step = torch.zeros(graph.num_states, graph.num_states, dtype=torch.float64)
        weights = (graph.log_probs.double() + frame[graph.pdfs]).exp()
        step.index_put_((graph.sources, graph.targets), weights, accumulate=True)
        alpha = alpha @ step @ leak
    return float((alpha * graph.final.double().exp()).sum().log())


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_values_are_sums_over_paths(kind: str, context: str, order: int) -> None:
    denominator, numerators, outputs = batch(kind, context, order)
    value = Lfmmi(denominator, PLAIN)(outputs, LENGTHS, numerators)
    for i, length in enumerate(LENGTHS.tolist()):
        own = outputs[i, : min(length, 4)]
        short = Lfmmi(denominator, PLAIN)(own[None], torch.tensor([len(own)]), [None])
        assert float(short.denominator) == pytest.approx(path_log_prob(denominator, own), abs=1e-6)
        assert float(value.numerator[i]) == pytest.approx(path_log_prob(numerators[i], outputs[i, :length]), abs=1e-6)
        assert float(value.denominator[i]) == pytest.approx(
            leaky_log_prob(denominator, outputs[i, :length], 0.0), abs=1e-6
        )
    assert value.frames == 15
    assert not value.impossible.any()
    assert value.loss.item() == pytest.approx(-float((value.numerator - value.denominator).sum()) / 15)
    assert (value.numerator <= value.denominator + 1e-6).all()


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
def test_leaky_hmm_is_kaldis(kind: str, context: str) -> None:
    denominator, numerators, outputs = batch(kind, context)
    value = Lfmmi(denominator, LEAKY)(outputs, LENGTHS, numerators)
    for i, length in enumerate(LENGTHS.tolist()):
        expected = leaky_log_prob(denominator, outputs[i, :length], 0.1)
        assert float(value.denominator[i]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("order", [1, 3])
def test_gradient_against_finite_differences(kind: str, context: str, order: int) -> None:
    denominator, numerators, outputs = batch(kind, context, order)
    config = LfmmiConfig(leaky_hmm=0.1, xent_regularize=0.3, l2_regularize=0.1, out_of_range=0.5, output_limit=1.0)
    lfmmi = Lfmmi(denominator, config)
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y: 1.7 * lfmmi(y, LENGTHS, numerators).loss, (outputs,), eps=1e-6, atol=1e-6, fast_mode=True
    )
    xent = torch.randn_like(outputs).requires_grad_()
    held = outputs.detach()
    assert torch.autograd.gradcheck(
        lambda y: lfmmi(held, LENGTHS, numerators, y).loss, (xent,), eps=1e-6, atol=1e-6, fast_mode=True
    )


def test_every_gradient_against_finite_differences() -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, LEAKY)
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: lfmmi(y, LENGTHS, numerators).loss, (outputs,), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("config", [PLAIN, LEAKY])
def test_posteriors_sum_to_one(config: LfmmiConfig) -> None:
    denominator, numerators, outputs = batch("ctc", "biphone")
    shared = SharedGraph(denominator)
    for log_prob, post in (
        shared.forward_backward(outputs, LENGTHS, config.leaky_hmm),
        forward_backward(numerators, outputs, LENGTHS),
    ):
        assert torch.isfinite(log_prob).all()
        assert post is not None
        for i, length in enumerate(LENGTHS.tolist()):
            assert torch.allclose(post[i, :length].sum(1), torch.ones(length, dtype=torch.float64))
            assert not post[i, length:].any()


def test_without_posteriors_the_value_is_the_same() -> None:
    denominator, numerators, outputs = batch()
    with torch.no_grad():
        value = Lfmmi(denominator, LEAKY)(outputs, LENGTHS, numerators)
    other = Lfmmi(denominator, LEAKY)(outputs.requires_grad_(), LENGTHS, numerators)
    assert value.loss.item() == pytest.approx(other.loss.item())
    assert not value.loss.requires_grad


@pytest.mark.parametrize("config", [PLAIN, LfmmiConfig()])
def test_padding_changes_nothing(config: LfmmiConfig) -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, config)
    alone, gradients = [], []
    for i, length in enumerate(LENGTHS.tolist()):
        own = outputs[i : i + 1, :length].clone().requires_grad_()
        value = lfmmi(own, LENGTHS[i : i + 1], numerators[i : i + 1], own)
        (value.loss * value.frames).backward()
        alone.append(value.loss.item() * value.frames)
        gradients.append(own.grad)
    padded = torch.full((3, 9, outputs.shape[2]), math.nan, dtype=torch.float64)  # never read
    for i, length in enumerate(LENGTHS.tolist()):
        padded[i, :length] = outputs[i, :length]
    padded.requires_grad_()
    value = lfmmi(padded, LENGTHS, numerators, padded)
    (value.loss * value.frames).backward()
    assert value.loss.item() * value.frames == pytest.approx(sum(alone))
    assert padded.grad is not None
    for i, length in enumerate(LENGTHS.tolist()):
        assert torch.allclose(padded.grad[i, :length], gradients[i][0])
        assert not padded.grad[i, length:].any()


def test_impossible_utterances_contribute_nothing() -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, LfmmiConfig())
    both = outputs.clone().requires_grad_()
    lengths = torch.tensor([5, 4, 1])  # the last has two phones
    value = lfmmi(both, lengths, [numerators[0], None, numerators[2]], both)
    assert value.impossible.tolist() == [False, True, True]
    assert value.frames == 5
    value.loss.backward()
    alone = outputs[:1].clone().requires_grad_()
    expected = lfmmi(alone, lengths[:1], numerators[:1], alone)
    expected.loss.backward()
    assert value.loss.item() == pytest.approx(expected.loss.item())
    assert both.grad is not None
    assert alone.grad is not None
    assert torch.allclose(both.grad[:1], alone.grad)
    assert not both.grad[1:].any()
    nothing = lfmmi(both, lengths, [None, None, None], both)
    assert nothing.loss.item() == 0
    assert nothing.frames == 0
    both.grad = None
    nothing.loss.backward()
    assert not both.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_dtypes_are_computed_in_float32(dtype: torch.dtype) -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, LfmmiConfig())
    rounded = outputs.to(dtype)
    low = rounded.clone().requires_grad_()
    high = rounded.double().requires_grad_()
    values = [lfmmi(y, LENGTHS, numerators, y) for y in (low, high)]
    assert values[0].loss.item() == pytest.approx(values[1].loss.item(), abs=1e-5)
    for value in values:
        (1024 * value.loss).backward()
    assert low.grad is not None
    assert high.grad is not None
    assert low.grad.dtype == dtype
    assert torch.allclose(low.grad.double(), high.grad, rtol=1e-2, atol=1e-2)


def test_autocast_does_not_reach_inside() -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, LEAKY)
    plain = lfmmi(outputs.float(), LENGTHS, numerators)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = lfmmi(outputs.float(), LENGTHS, numerators)
    assert plain.loss.item() == inside.loss.item()


def test_outputs_that_are_not_numbers_raise() -> None:
    denominator, numerators, outputs = batch()
    outputs[1, 2, 1] = math.nan
    with pytest.raises(FloatingPointError, match="utterance 1 of the batch, frame 2, pdf 1"):
        Lfmmi(denominator, PLAIN)(outputs, LENGTHS, numerators)


@pytest.mark.parametrize("scale", [1.0, 50.0, 400.0])
def test_extreme_outputs(scale: float) -> None:
    """Far beyond what float32 probabilities hold, the value is still that of logarithms."""
    denominator, numerators, outputs = batch()
    outputs = (outputs * scale).requires_grad_()
    value = Lfmmi(denominator, PLAIN)(outputs.float(), LENGTHS, numerators)
    exact, _ = forward_backward([denominator] * 3, outputs.detach(), LENGTHS)
    assert (value.numerator <= value.denominator + 1e-3).all()
    assert value.denominator.tolist() == pytest.approx(exact.tolist(), rel=1e-5)


def test_regularisers_are_kaldis() -> None:
    denominator, numerators, outputs = batch()
    outputs = outputs * 20
    mask = torch.arange(6)[None, :] < LENGTHS[:, None]
    own = outputs[mask]
    plain = Lfmmi(denominator, PLAIN)(outputs, LENGTHS, numerators)
    l2 = Lfmmi(denominator, LfmmiConfig(leaky_hmm=0, l2_regularize=0.2, out_of_range=0))(outputs, LENGTHS, numerators)
    assert float(l2.loss - plain.loss) == pytest.approx(0.1 * float((own**2).sum()) / 15)
    limited = Lfmmi(denominator, LfmmiConfig(leaky_hmm=0, l2_regularize=0, out_of_range=0.2))
    excess = (own.abs() - 30).clamp(min=0)
    assert excess.any()
    value = limited(outputs, LENGTHS, numerators)
    assert float(value.loss - plain.loss) == pytest.approx(0.1 * float((excess**2).sum()) / 15)


def test_cross_entropy_is_of_numerator_posteriors() -> None:
    denominator, numerators, outputs = batch()
    _, post = forward_backward(numerators, outputs, LENGTHS)
    xent = torch.randn_like(outputs)
    config = LfmmiConfig(leaky_hmm=0, xent_regularize=0.25, l2_regularize=0, out_of_range=0)
    value = Lfmmi(denominator, config)(outputs, LENGTHS, numerators, xent)
    assert post is not None
    assert float(value.xent) == pytest.approx(float((post * xent.log_softmax(2)).sum()) / 15)
    plain = Lfmmi(denominator, PLAIN)(outputs, LENGTHS, numerators)
    assert float(value.loss - plain.loss) == pytest.approx(-0.25 * float(value.xent))


def test_mistakes() -> None:
    denominator, numerators, outputs = batch()
    lfmmi = Lfmmi(denominator, PLAIN)
    with pytest.raises(ValueError, match="network 3 outputs"):
        lfmmi(outputs[..., :3], LENGTHS, numerators)
    with pytest.raises(ValueError, match="6 frames"):
        lfmmi(outputs, LENGTHS + 1, numerators)
    with pytest.raises(ValueError, match="empty"):
        lfmmi(outputs[:, :0], 0 * LENGTHS, numerators)
    with pytest.raises(ValueError, match="2 numerators"):
        lfmmi(outputs, LENGTHS, numerators[:2])
    with pytest.raises(UserError, match="leaky"):
        LfmmiConfig(engine="k2")
    with pytest.raises(UserError, match="engine"):
        LfmmiConfig(engine="fast")  # type: ignore[arg-type]


@pytest.mark.k2
@pytest.mark.parametrize(("kind", "context"), TOPOLOGIES)
@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_dense_agrees_with_k2(kind: str, context: str, scale: float) -> None:
    """On random outputs, and on peaky ones that follow the transcripts, as after training."""
    num_phones, frames = 8, 40
    lm, topology = model(kind, context, 3, num_phones, num_extra_states=20)
    sentences = text(num_phones)[:4]
    graphs = [make_numerator([[([phone], 0.0)] for phone in s], None, 0.5, topology, lm) for s in sentences]
    lengths = torch.tensor([40, 31, 40, 17])
    generator = torch.Generator().manual_seed(3)
    outputs = scale * torch.randn(4, frames, topology.num_pdfs, generator=generator)
    if scale > 1:
        for i, s in enumerate(sentences):
            for t in range(frames):
                at = min(t * len(s) // int(lengths[i]), len(s) - 1)
                outputs[i, t, topology.repeat(s[at], s[at - 1] if at else 0)] += 10
    results = []
    for engine in ("dense", "k2"):
        config = LfmmiConfig(engine=engine, leaky_hmm=0)  # type: ignore[arg-type]
        y = outputs.clone().requires_grad_()
        x = outputs.clone().requires_grad_()
        value = Lfmmi(make_denominator(lm, topology), config)(y, lengths, [*graphs[:3], None], x)
        value.loss.backward()
        results.append((value, y.grad, x.grad))
    (dense, y_dense, x_dense), (k2, y_k2, x_k2) = results
    assert dense.impossible.tolist() == k2.impossible.tolist() == [False, False, False, True]
    difference = (dense.numerator - k2.numerator)[:3].abs() + (dense.denominator - k2.denominator)[:3].abs()
    assert (difference / lengths[:3] <= 1e-4).all()
    assert dense.loss.item() == pytest.approx(k2.loss.item(), abs=1e-4)
    assert torch.allclose(y_dense * dense.frames, y_k2 * k2.frames, atol=1e-3)
    assert torch.allclose(x_dense * dense.frames, x_k2 * k2.frames, atol=1e-3)


@pytest.mark.gpu
def test_cuda_agrees_with_cpu() -> None:
    denominator, numerators, outputs = batch()
    values = []
    for device in ("cpu", "cuda"):
        y = outputs.float().to(device).requires_grad_()
        value = Lfmmi(denominator, LfmmiConfig())(y, LENGTHS.to(device), numerators, y)
        value.loss.backward()
        values.append((value.loss.item(), y.grad.cpu()))
    assert values[0][0] == pytest.approx(values[1][0], abs=1e-5)
    assert torch.allclose(values[0][1], values[1][1], atol=1e-5)
