"""Stacked columns against plain networks, and S2's parameter counts."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sertools.config import read_values
from sertools.emotion.kinds import find_kind
from sertools.emotion.progressive.config import ProgressiveConfig
from sertools.models.columns import ColumnConfig, Columns

S2 = ColumnConfig()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_s2_has_its_number_of_parameters() -> None:
    dnn, speakers = Columns(S2, 88, 4, [0]), Columns(S2, 88, 10, [0])
    prognet = Columns(S2, 88, 4, [0], [S2.hidden])
    assert count(dnn) == 221188
    assert count(speakers) == 222730
    assert count(prognet) == 418820
    assert count(prognet.laterals) == 197632
    assert sum(count(layer) for layer in speakers.layers[:-1]) == 220160
    three = ColumnConfig(hidden=(256,) * 3)
    assert count(Columns(three, 88, 4, [0])) == 155396
    assert count(Columns(three, 88, 4, [0], [three.hidden])) == 287492
    assert count(Columns(ColumnConfig(adapter_dim=64), 88, 4, [0], [S2.hidden])) == 336392


def test_controls_have_the_size_of_the_progressive_network() -> None:
    """As egs/common/conf/s2 says: so many weights learn, but for two in a thousand."""
    root = Path(__file__).parents[2] / "egs" / "common" / "conf" / "s2"

    def shape(name: str) -> ColumnConfig:
        config = find_kind("progressive").read(*read_values(root / f"{name}.yaml"))
        assert isinstance(config, ProgressiveConfig)
        return config.model

    wide, adapted = shape("dnn_wide"), shape("prognet_adapter_speaker")
    assert count(Columns(wide, 88, 4, [0])) == pytest.approx(418820, rel=2e-3)
    assert adapted.adapter_dim
    for classes in (2, 4, 8):
        plain = count(Columns(shape("prognet_speaker"), 88, classes, [0], [S2.hidden]))
        assert count(Columns(adapted, 88, classes, [0], [S2.hidden])) == pytest.approx(plain, rel=2e-3)


def plain(columns: Columns, run: int) -> nn.Sequential:
    """One network of a stack without lateral connections, made of torch's own layers."""
    layers: list[nn.Module] = []
    for number, layer in enumerate(columns.layers):
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[2])
        with torch.no_grad():
            linear.weight.copy_(layer.weight[run].T)
            linear.bias.copy_(layer.bias[run, 0])
        layers += [linear] if number == len(columns.layers) - 1 else [linear, nn.Sigmoid()]
    return nn.Sequential(*layers)


def test_a_stack_is_its_networks() -> None:
    config = ColumnConfig(hidden=(6, 5))
    stack = Columns(config, 4, 3, [7, 8])
    x = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(1))
    for run in range(2):
        assert torch.allclose(stack(x)[run], plain(stack, run)(x[run]), atol=1e-6)
    # a network is drawn by its own seed, whatever else is in the stack
    alone = Columns(config, 4, 3, [8])
    assert all(torch.equal(v[1:], w) for v, w in zip(stack.parameters(), alone.parameters(), strict=True))
    alone.load_state_dict({name: value[:1] for name, value in stack.state_dict().items()})
    assert torch.allclose(alone(x[:1]), stack(x)[:1], atol=1e-6)


def test_lateral_connections_are_one_matrix_over_both_columns() -> None:
    """S2, figure 2: layer k + 1 reads [own h(k); frozen h(k)], computed here by hand in float64."""
    config = ColumnConfig(hidden=(5, 5))
    source, prognet = Columns(config, 4, 6, [1]).double(), Columns(config, 4, 3, [2], [config.hidden]).double()
    x = torch.randn(1, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    frozen = source.hidden(x)
    own = torch.sigmoid(x[0] @ prognet.layers[0].weight[0] + prognet.layers[0].bias[0])
    for k in (1, 2):
        both = torch.cat([own, frozen[k - 1][0]], 1)
        matrix = torch.cat([prognet.layers[k].weight[0], prognet.laterals[k - 1].out.weight[0]], 0)
        own = both @ matrix + prognet.layers[k].bias[0]
        if k == 1:
            own = torch.sigmoid(own)
    assert torch.allclose(prognet(x, [frozen])[0], own, atol=1e-12)


def test_adapters_and_several_sources() -> None:
    config = ColumnConfig(hidden=(4,), adapter_dim=2, activation="relu")
    prognet = Columns(config, 3, 2, [0], [(4,), (6,)]).double()
    x = torch.randn(1, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frozen = [[torch.rand(1, 5, 4, dtype=torch.float64)], [torch.rand(1, 5, 6, dtype=torch.float64)]]
    lateral = prognet.laterals[0]
    side = torch.cat([frozen[0][0][0], frozen[1][0][0]], 1)
    adapted = torch.relu(0.1 * side @ lateral.adapter.weight[0] + lateral.adapter.bias[0]) @ lateral.out.weight[0]
    own = torch.relu(x[0] @ prognet.layers[0].weight[0]) @ prognet.layers[1].weight[0]
    assert torch.allclose(prognet(x, frozen)[0], own + adapted, atol=1e-12)


def test_masks_are_dropout() -> None:
    config = ColumnConfig(hidden=(4,))
    column = Columns(config, 3, 2, [0])
    x = torch.rand(1, 5, 3)
    nothing = column(x, masks=[torch.zeros(1, 5, 4)])
    assert torch.allclose(nothing, torch.zeros(1, 5, 2))


def test_fine_tuning_starts_from_the_hidden_layers() -> None:
    config = ColumnConfig(hidden=(5, 5))
    source, target = Columns(config, 4, 6, [1, 2]), Columns(config, 4, 3, [3, 4])
    output = target.layers[-1].weight.clone()
    target.start_from(source)
    x = torch.rand(2, 7, 4)
    assert all(torch.equal(a, b) for a, b in zip(target.hidden(x), source.hidden(x), strict=True))
    assert torch.equal(target.layers[-1].weight, output)
    with pytest.raises(ValueError, match="as many"):
        Columns(config, 4, 3, [0], [(5,)])
    with pytest.raises(ValueError, match="the source's"):
        Columns(config, 3, 3, [0]).start_from(Columns(config, 4, 3, [0]))
