"""TDNN-F against a frame-by-frame reference, Kaldi's parameter count, and its own invariances."""

import pytest
import torch
from torch import nn

from sertools.models.frame_ops import NORM_EPS
from sertools.models.layers import FrameNorm, SemiOrthogonalLinear, relu_norm
from sertools.models.tdnnf import (
    SharedDropout,
    Tdnnf,
    TdnnfConfig,
    semi_orthogonal_step,
    semi_orthogonality_error,
    set_dropout,
)

SMALL = TdnnfConfig(feature_dim=5, hidden_dim=8, bottleneck_dim=4, prefinal_dim=6, strides=(0, 1, 1, 0, 3, 3))


def randomised(config: TdnnfConfig) -> Tdnnf:
    """A network in evaluation mode with running statistics that are not trivial."""
    torch.manual_seed(1)
    model = Tdnnf(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias)
    return model.eval()


def reference(model: Tdnnf, features: torch.Tensor, name: str) -> list[torch.Tensor]:
    """One utterance, one output frame after another, by recursion over layers and times."""
    config = model.config

    def frame(t: int) -> torch.Tensor:
        return features[min(max(t, 0), len(features) - 1)]

    def norm(x: torch.Tensor, module: nn.BatchNorm1d) -> torch.Tensor:
        return (x - module.running_mean) / (module.running_var + module.eps).sqrt()

    def layer(i: int, t: int) -> torch.Tensor:
        if i == 0:
            spliced = torch.cat([frame(t + d) for d in range(-config.splice, config.splice + 1)])
            spliced = model.input_transform @ spliced + model.input_offset
            return norm(torch.relu(model.first(spliced)), model.first_norm)
        module, s = model.layers[i - 1], config.strides[i]

        def low(u: int) -> torch.Tensor:
            inputs = [layer(i - 1, u - s), layer(i - 1, u)] if s else [layer(i - 1, u)]
            return module.linear.weight @ torch.cat(inputs)

        inputs = [low(t), low(t + s)] if s else [low(t)]
        hidden = torch.relu(module.affine.weight @ torch.cat(inputs) + module.affine.bias)
        return norm(hidden, module.norm) + config.bypass_scale * layer(i - 1, t)

    def output(t: int) -> torch.Tensor:
        if name == "prefinal":
            return model.prefinal.weight @ layer(len(config.strides) - 1, t)
        return layer(config.layer_names.index(name), t)

    return [output(t) for t in range(0, len(features), config.subsampling)]


@pytest.mark.parametrize("strides", [(0, 1, 1, 0, 3), (0, 3, 3), (0, 1), (0,), (0, 2, 3)])
def test_equals_frame_by_frame_computation(strides: tuple[int, ...]) -> None:
    config = TdnnfConfig(feature_dim=3, hidden_dim=5, bottleneck_dim=2, prefinal_dim=4, strides=strides)
    model = randomised(config)
    model.set_input_statistics(torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 0.5, 1.5]))
    features = torch.randn(11, 3)
    with torch.no_grad():
        found = model(features[None], torch.tensor([11]), config.layer_names)
        for name in config.layer_names:
            expected = torch.stack(reference(model, features, name))
            torch.testing.assert_close(found[name][0], expected, atol=1e-5, rtol=1e-4)


def test_has_kaldis_number_of_parameters() -> None:
    """run_tdnn_1g with 3600 outputs has 9 431 072, of which two heads are not in the trunk."""
    trunk = sum(p.numel() for p in Tdnnf(TdnnfConfig(ivector_dim=100)).parameters())
    head = (256 * 1024 + 1024) + 1024 * 256 + (256 * 3600 + 3600)
    assert trunk + 2 * head == 9_431_072
    assert TdnnfConfig().context == 28


def test_padding_in_a_batch_changes_nothing() -> None:
    model = randomised(SMALL)
    utterances = [torch.randn(length, 5) for length in (1, 7, 20, 33)]
    lengths = torch.tensor([len(u) for u in utterances])
    batch = nn.utils.rnn.pad_sequence(utterances, batch_first=True, padding_value=99.0)
    with torch.no_grad():
        together = model(batch, lengths, ["tdnn1", "tdnnf5", "prefinal"])
        for i, utterance in enumerate(utterances):
            alone = model(utterance[None], lengths[i : i + 1], ["tdnn1", "tdnnf5", "prefinal"])
            for name, value in alone.items():
                assert value.shape[1] == int(model.output_lengths(lengths)[i])
                torch.testing.assert_close(together[name][i, : value.shape[1]], value[0])


def test_padding_does_not_enter_the_norms_in_training() -> None:
    """The statistics of a padded batch are those of its utterances, weighted by their frames."""
    model = randomised(SMALL).train()
    model.first_norm.momentum = 1.0
    utterances = [torch.randn(4, 5), torch.randn(29, 5) + 3]
    means, counts = [], []
    for utterance in utterances:
        lengths = torch.tensor([len(utterance)])
        model(utterance[None], lengths, ["tdnn1"])
        means.append(model.first_norm.running_mean.clone())
        counts.append(int(SMALL.frames(model.output_lengths(lengths), 0)))
    model(nn.utils.rnn.pad_sequence(utterances, batch_first=True), torch.tensor([4, 29]), ["tdnn1"])
    expected = (means[0] * counts[0] + means[1] * counts[1]) / sum(counts)
    assert counts[0] < counts[1]
    torch.testing.assert_close(model.first_norm.running_mean, expected)


def test_input_statistics_give_mean_zero_and_variance_one() -> None:
    torch.manual_seed(0)
    model = Tdnnf(TdnnfConfig(feature_dim=3, ivector_dim=2, hidden_dim=5, bottleneck_dim=2, strides=(0,)))
    frames = torch.randn(400, 5) * torch.tensor([30.0, 0.1, 2.0, 1.0, 5.0]) + torch.tensor([-60.0, 4.0, 0.0, 1.0, -9.0])
    model.set_input_statistics(frames.mean(0), frames.std(0))
    spliced = torch.cat([frames[:-2, :3], frames[1:-1, :3], frames[2:, :3], frames[1:-1, 3:]], 1)
    found = nn.functional.linear(spliced, model.input_transform, model.input_offset)
    torch.testing.assert_close(found.mean(0), torch.zeros(11), atol=0.02, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(11), atol=0.02, rtol=0)


def test_running_statistics_are_those_of_batch_norm() -> None:
    """Of torch's own layer without scale and offset, over the frames, also where a fused operation computes them."""
    torch.manual_seed(0)
    ours, torchs = FrameNorm(3), nn.BatchNorm1d(3, eps=NORM_EPS, affine=False)
    for frames in (4, 7):
        hidden = torch.randn(frames, 1, 3) * 2 + 1
        wanted = torchs(hidden.relu().view(-1, 3))
        found = relu_norm(hidden.clone(), ours, None, None)
        torch.testing.assert_close(found.view(-1, 3), wanted)
    assert ours.running_mean is not None
    assert ours.running_var is not None
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)


def test_white_input_has_no_correlation() -> None:
    torch.manual_seed(0)
    config = TdnnfConfig(feature_dim=3, hidden_dim=5, bottleneck_dim=2, strides=(0,))
    model = Tdnnf(config)
    mixed = torch.randn(4000, 9) @ (torch.eye(9) + 0.2 * torch.randn(9, 9)) * 30 + torch.randn(9)
    model.set_input_covariance(mixed.mean(0), mixed.t().cov())
    white = nn.functional.linear(mixed, model.input_transform, model.input_offset)
    torch.testing.assert_close(white.mean(0), torch.zeros(9), atol=1e-3, rtol=0)
    torch.testing.assert_close(white.t().cov(), torch.eye(9), atol=1e-2, rtol=0)
    assert torch.equal(model.input_transform, model.state_dict()["input_transform"])


def test_ivectors_are_appended_once() -> None:
    config = TdnnfConfig(feature_dim=3, ivector_dim=2, hidden_dim=4, bottleneck_dim=2, strides=(0, 1))
    model = randomised(config)
    with pytest.raises(ValueError, match="dimension 2"):
        model(torch.zeros(1, 9, 3), torch.tensor([9]), ["tdnn1"])
    one = model(torch.zeros(1, 9, 3), torch.tensor([9]), ["tdnn1"], torch.tensor([[1.0, 0.0]]))["tdnn1"]
    assert one.shape == (1, 3, 4)
    assert config.input_dim == 11


def test_unknown_layer() -> None:
    with pytest.raises(ValueError, match="no layer tdnnf99; there are tdnn1"):
        Tdnnf(SMALL)(torch.zeros(1, 9, 5), torch.tensor([9]), ["tdnnf99"])


def test_semi_orthogonal_step_converges() -> None:
    torch.manual_seed(0)
    model = Tdnnf(SMALL)
    weight = model.layers[0].linear.weight
    before = semi_orthogonality_error(weight)
    for _ in range(60):
        semi_orthogonal_step(model)
    assert before > 0.3
    for layer in model.layers:
        assert semi_orthogonality_error(layer.linear.weight) < 1e-3
    assert semi_orthogonality_error(model.prefinal.weight) < 1e-3


def test_dropout_mask_is_shared_over_time_and_off_in_evaluation() -> None:
    model = Tdnnf(SMALL)
    set_dropout(model, 0.3)
    dropout = model.first_dropout
    x = torch.ones(10, 4, 8)
    y = dropout(x)
    assert torch.equal(y, y[:1].expand_as(y))
    assert 0.4 <= float(y.min()) < float(y.max()) <= 1.6
    assert not torch.equal(y[0, 0], y[0, 1])
    assert torch.equal(dropout.eval()(x), x)
    assert all(m.p == 0.3 for m in model.modules() if isinstance(m, SharedDropout))
    wide = dropout.train()(torch.ones(1, 500, 8))
    torch.testing.assert_close(torch.stack([wide.min(), wide.max()]), torch.tensor([0.4, 1.6]), atol=0.01, rtol=0)
    assert float(wide.mean()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_semi_orthogonal_step_is_kaldis(spread: float, shape: tuple[int, int]) -> None:
    """ConstrainOrthonormalInternal of nnet-utils.cc with a floating scale, at any scale of weights."""
    torch.manual_seed(0)
    layer = SemiOrthogonalLinear(shape[1], shape[0]).double()
    rows, columns = sorted(shape)
    basis = torch.linalg.qr(torch.randn(columns, rows, dtype=torch.float64))[0].t()
    start = 3.0 * (basis + spread * torch.randn(rows, columns, dtype=torch.float64))
    with torch.no_grad():
        layer.weight.copy_(start if shape == (rows, columns) else start.t())
    semi_orthogonal_step(layer)
    p = start @ start.t()
    trace, square = float(p.trace()), float((p * p).sum())
    ratio = square * rows / trace**2
    speed = 0.125 * (0.5 if ratio > 1.02 else 1.0) * (0.5 if ratio > 1.1 else 1.0)
    scale2 = square / trace
    wanted = start - 4.0 * speed / scale2 * (p - scale2 * torch.eye(rows, dtype=torch.float64)) @ start
    torch.testing.assert_close(layer.weight.detach(), wanted if shape == (rows, columns) else wanted.t())
