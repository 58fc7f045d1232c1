"""The acoustic model: Kaldi's parameter count, its two heads, and padding."""

import torch

from sertools.models.asr import OUTPUT_LAYERS, AcousticModel, AcousticModelConfig
from sertools.models.layers import SemiOrthogonalLinear, semi_orthogonal_step, semi_orthogonality_error
from sertools.models.tdnnf import TdnnfConfig

SMALL = AcousticModelConfig(
    TdnnfConfig(feature_dim=5, hidden_dim=8, bottleneck_dim=4, prefinal_dim=6, strides=(0, 1, 1, 0, 3, 3)), 8, 4
)


def trained_like(model: AcousticModel) -> AcousticModel:
    """With last layers that are not zero and running statistics that are not trivial."""
    torch.manual_seed(3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    torch.nn.init.normal_(model.chain.output.weight)
    return model.eval()


def test_has_kaldis_number_of_parameters() -> None:
    """run_tdnn_1g for TED-LIUM 2: num-params=9.4M, exactly 9 431 072 with 3600 outputs."""
    model = AcousticModel(AcousticModelConfig(TdnnfConfig(ivector_dim=100)), 3600)
    assert sum(p.numel() for p in model.parameters()) == 9_431_072


def test_all_outputs_are_equal_at_first() -> None:
    model = AcousticModel(SMALL, 7).train()
    scores, xent, lengths = model(torch.randn(2, 20, 5), torch.tensor([20, 14]), xent=True)
    assert scores.shape == xent.shape == (2, 7, 7)
    assert lengths.tolist() == [7, 5]
    assert float(scores.abs().max()) == float(xent.abs().max()) == 0.0


def test_second_head_only_where_asked_for() -> None:
    assert AcousticModel(SMALL, 7)(torch.randn(1, 9, 5), torch.tensor([9]))[1] is None
    without = AcousticModel(SMALL, 7, xent=False)
    assert without(torch.randn(1, 9, 5), torch.tensor([9]), xent=True)[1] is None
    assert not any(name.startswith("xent") for name, _ in without.named_parameters())


def test_auxiliary_outputs_read_mean_and_deviation_over_time() -> None:
    """Of an utterance's own frames; they begin at 0, and the other layers as they do without them."""
    torch.manual_seed(1)
    without = AcousticModel(SMALL, 7)
    torch.manual_seed(1)
    model = AcousticModel(SMALL, 7, num_auxiliary=3)
    kept = model.state_dict()
    assert set(kept) - set(without.state_dict()) == {"auxiliary.weight", "auxiliary.bias"} <= set(OUTPUT_LAYERS)
    assert all(torch.equal(kept[name], value) for name, value in without.state_dict().items())
    trained_like(model)
    features, lengths = torch.randn(2, 30, 5), torch.tensor([30, 11])
    features[1, 11:] = 50.0
    hidden, outputs = model.embed(features, lengths)
    assert float(model.auxiliary_scores(hidden, outputs).abs().max()) == 0.0
    assert without.auxiliary_scores(hidden, outputs).shape == (2, 0)
    torch.nn.init.normal_(model.auxiliary.weight)
    found = model.auxiliary_scores(hidden, outputs)
    for row, (matrix, length) in enumerate(zip(features, lengths, strict=True)):
        own = model.trunk(matrix[None, :length], length[None], ["prefinal"])["prefinal"][0]
        statistics = torch.cat([own.mean(0), own.std(0, unbiased=False)])
        torch.testing.assert_close(found[row], model.auxiliary.weight @ statistics, atol=1e-5, rtol=1e-4)
    model.set_activation_dtype(torch.bfloat16)
    assert model.auxiliary_scores(*model.embed(features, lengths)).dtype == torch.float32


def test_padding_changes_nothing() -> None:
    model = trained_like(AcousticModel(SMALL, 7))
    short, long = torch.randn(11, 5), torch.randn(30, 5)
    batch = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True, padding_value=50.0)
    together, _, lengths = model(batch, torch.tensor([11, 30]))
    alone, _, _ = model(short[None], torch.tensor([11]))
    assert lengths.tolist() == [4, 10]
    assert float(alone.std()) > 0.1
    torch.testing.assert_close(together[0, :4], alone[0])


def test_gradients_of_padding_are_ignored_in_training() -> None:
    """What the padding is filled with changes neither outputs nor gradients of a training step."""
    torch.manual_seed(5)
    features, lengths = torch.randn(3, 25, 5), torch.tensor([25, 7, 16])
    results = []
    for filling in (0.0, 30.0):
        model = AcousticModel(SMALL, 7)
        trained_like(model).train()
        model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})
        torch.manual_seed(6)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        x = features.clone()
        for row, length in enumerate(lengths.tolist()):
            x[row, length:] = filling
        scores, xent, outputs = model(x, lengths, xent=True)
        mask = torch.arange(scores.shape[1])[None] < outputs[:, None]
        loss = (scores.log_softmax(-1)[mask][:, 0] + xent.log_softmax(-1)[mask][:, 1]).sum()
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_heads_are_constrained_too() -> None:
    torch.manual_seed(0)
    model = AcousticModel(SMALL, 7)
    constrained = {n: m for n, m in model.named_modules() if isinstance(m, SemiOrthogonalLinear)}
    assert {"trunk.prefinal", "chain.linear", "xent.linear", "trunk.layers.0.linear"} <= set(constrained)
    assert len(constrained) == 5 + 1 + 2
    assert max(semi_orthogonality_error(m.weight) for m in constrained.values()) > 0.3
    for _ in range(60):
        semi_orthogonal_step(model)
    assert max(semi_orthogonality_error(m.weight) for m in constrained.values()) < 1e-3


def test_bfloat16_activations() -> None:
    model = trained_like(AcousticModel(SMALL, 7))
    features = torch.randn(2, 30, 5)
    exact, _, _ = model(features, torch.tensor([30, 30]))
    model.set_activation_dtype(torch.bfloat16)
    rough, _, _ = model(features, torch.tensor([30, 30]))
    assert rough.dtype == torch.bfloat16
    assert float((rough.float() - exact).norm() / exact.norm()) < 0.05
    model.train()(features, torch.tensor([30, 20]))[0].float().sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
