"""The acoustic-to-word network against its equations in plain loops, and its invariances."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from sertools.models import location_attention
from sertools.models.a2w import A2wModel, A2wModelConfig, Decoded, Encoding
from sertools.models.frame_ops import Share
from sertools.models.layers import set_dropout, set_share
from sertools.models.location_attention import Energies, LocationAttention

SMALL = A2wModelConfig(
    feature_dim=2, stack=3, encoder_layers=2, encoder_dim=3, decoder_dim=4, embedding_dim=5, attention_dim=6,
    attention_filters=2, attention_width=4,
)  # fmt: skip
TOKENS = 9
LENGTHS = torch.tensor([10, 22, 1, 18])


def make_model(config: A2wModelConfig = SMALL, num_auxiliary: int = 0) -> A2wModel:
    """In evaluation mode, with weights that make a difference."""
    torch.manual_seed(0)
    model = A2wModel(config, TOKENS, num_auxiliary).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    model.set_input_statistics(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5]))
    return model.eval()


def utterances() -> tuple[list[Tensor], Tensor]:
    """Features of each, and tokens (4, 5) with the end symbol in places."""
    torch.manual_seed(1)
    features = [torch.randn(int(length), 2, dtype=torch.float64) for length in LENGTHS]
    return features, torch.tensor([[2, 5, 1, 1, 1], [3, 3, 8, 0, 1], [1, 1, 1, 1, 1], [4, 1, 7, 1, 1]])


def padded(features: list[Tensor], value: float = float("nan")) -> Tensor:
    return nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=value)


def lstm_step(x: Tensor, s: Tensor, c: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, cell by cell (torch's order of gates)."""
    by_input, by_state, input_bias, state_bias = weights
    size = len(s)
    total = [by_input[n] @ x + by_state[n] @ s + input_bias[n] + state_bias[n] for n in range(4 * size)]
    cells = [
        torch.sigmoid(total[size + n]) * c[n] + torch.sigmoid(total[n]) * torch.tanh(total[2 * size + n])
        for n in range(size)
    ]
    outputs = [torch.sigmoid(total[3 * size + n]) * torch.tanh(cells[n]) for n in range(size)]
    return torch.stack(outputs), torch.stack(cells)


def reference_encoder(model: A2wModel, features: Tensor) -> list[Tensor]:
    """States of one utterance."""
    standardised = [(frame - model.input_mean) * model.input_scale for frame in features]
    while len(standardised) % model.config.stack:
        standardised.append(torch.zeros(model.config.feature_dim, dtype=torch.float64))
    x = [torch.cat(standardised[t : t + model.config.stack]) for t in range(0, len(standardised), model.config.stack)]
    for layer in model.encoder:
        directions = []
        for suffix, frames in (("", x), ("_reverse", x[::-1])):
            weights = [
                getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            s = c = torch.zeros(model.config.encoder_dim, dtype=torch.float64)
            states = []
            for frame in frames:
                s, c = lstm_step(frame, s, c, weights)
                states.append(s)
            directions.append(states[::-1] if suffix else states)
        x = [torch.cat(pair) for pair in zip(*directions, strict=True)]
    return x


def reference(model: A2wModel, features: Tensor, tokens: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """s, o and a of every step of one utterance: equations 6 to 11 of S4, one frame after another."""
    h, attention = reference_encoder(model, features), model.attention
    filters, (v, b) = attention.convolution.weight[:, 0], (attention.key.weight, attention.key.bias)
    cell = model.cell
    s = c = torch.zeros(model.config.decoder_dim, dtype=torch.float64)
    a = [torch.zeros((), dtype=torch.float64)] * len(h)
    states, outputs, weights = [], [], []
    for token in tokens:
        energies = []
        for t in range(len(h)):
            f = torch.zeros(model.config.attention_filters, dtype=torch.float64)
            for k in range(model.config.attention_width):
                place = t + k - model.config.attention_width // 2
                if 0 <= place < len(h):
                    f = f + filters[:, k] * a[place]
            hidden = attention.query.weight @ s + v @ h[t] + attention.location.weight @ f + b
            energies.append(attention.energy.weight[0] @ torch.tanh(hidden))
        total = sum(torch.exp(energy) for energy in energies)
        a = [torch.exp(energy) / total for energy in energies]
        g = sum(a[t] * h[t] for t in range(len(h)))
        outputs.append(
            torch.tanh(model.from_context.weight @ g + model.from_context.bias + model.from_state.weight @ s)
        )
        read = torch.cat([model.embedding.weight[token], g])
        s, c = lstm_step(read, s, c, [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh])
        states.append(s)
        weights.append(torch.stack(a))
    return torch.stack(states), torch.stack(outputs), torch.stack(weights)


@pytest.mark.parametrize("width", [1, 4, 5])
def test_equals_the_equations(width: int) -> None:
    """Values of every step, and the gradients of all parameters."""
    model = make_model(dataclasses.replace(SMALL, attention_width=width))
    features, tokens = utterances()
    found = model.teacher(model.encode(padded(features), LENGTHS), tokens)
    torch.manual_seed(2)
    expected_sum = found_sum = torch.zeros((), dtype=torch.float64)
    for row, one in enumerate(features):
        s, o, a = reference(model, one, tokens[row].tolist())
        torch.testing.assert_close(found.states[row], s)
        torch.testing.assert_close(found.outputs[row], o)
        torch.testing.assert_close(found.weights[row, :, : a.shape[1]], a)
        assert float(found.weights[row, :, a.shape[1] :].abs().sum().detach()) == 0
        for ours, theirs in ((found.states[row], s), (found.outputs[row], o), (found.weights[row, :, : a.shape[1]], a)):
            target = torch.randn_like(theirs)
            expected_sum, found_sum = expected_sum + (theirs * target).sum(), found_sum + (ours * target).sum()
    used = {name: p for name, p in model.named_parameters() if not name.startswith("output.")}
    gradients = torch.autograd.grad(found_sum, list(used.values()))
    for name, one, other in zip(used, gradients, torch.autograd.grad(expected_sum, list(used.values())), strict=True):
        assert other.abs().max() > 1e-5, name
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10, msg=name)


def steps(model: A2wModel, encoding: Encoding, tokens: Tensor) -> Decoded:
    """As the teacher, one step after another."""
    state, parts = model.start(encoding, len(tokens) // len(encoding.keys)), []
    for token in tokens.unbind(1):
        output, state = model.attend(encoding, state)
        state = model.read(state, token)
        parts.append((state.s, output, state.weights))
    return Decoded(*(torch.stack(x, 1) for x in zip(*parts, strict=True)))


def assert_equal(one: Decoded, other: Decoded) -> None:
    for name in ("states", "outputs", "weights"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name))


def test_teacher_is_attend_and_read() -> None:
    model = make_model()
    features, tokens = utterances()
    encoding = model.encode(padded(features), LENGTHS)
    assert_equal(model.teacher(encoding, tokens), steps(model, encoding, tokens))


def test_several_hypotheses_of_an_utterance() -> None:
    """Rows 0 to 2 belong to the first utterance, 3 to 5 to the second, ..."""
    model = make_model()
    features, _ = utterances()
    encoding = model.encode(padded(features), LENGTHS)
    tokens = torch.randint(0, TOKENS, (12, 4))
    together = model.teacher(encoding, tokens)
    assert_equal(together, steps(model, encoding, tokens))
    for row in range(12):
        one = encoding.select(torch.tensor([row // 3]))
        alone = model.teacher(one, tokens[row : row + 1])
        torch.testing.assert_close(together.outputs[row], alone.outputs[0])
        torch.testing.assert_close(together.weights[row, :, : one.keys.shape[1]], alone.weights[0])


def test_batch_and_padding_change_nothing() -> None:
    model = make_model(num_auxiliary=3)
    features, tokens = utterances()
    encoding = model.encode(torch.cat([padded(features), torch.full((4, 7, 2), float("nan"))], 1), LENGTHS)
    decoded, scores = model.teacher(encoding, tokens), model.auxiliary_scores(encoding)
    assert encoding.lengths.tolist() == [4, 8, 1, 6] == model.output_lengths(LENGTHS).tolist()
    assert encoding.states.shape == (4, 8, 6)
    for row, length in enumerate(encoding.lengths.tolist()):
        one = model.encode(features[row][None], LENGTHS[row : row + 1])
        torch.testing.assert_close(encoding.states[row, :length], one.states[0])
        torch.testing.assert_close(encoding.keys[row, :length], one.keys[0])
        torch.testing.assert_close(scores[row, :length], model.auxiliary_scores(one)[0])
        assert float(encoding.states[row, length:].abs().sum().detach()) == 0
        torch.testing.assert_close(decoded.outputs[row], model.teacher(one, tokens[row : row + 1]).outputs[0])


def test_small_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    features, _ = utterances()
    tokens = torch.randint(0, TOKENS, (12, 3))

    def values() -> list[Tensor]:
        decoded = model.teacher(model.encode(padded(features), LENGTHS), tokens)
        model.zero_grad()
        decoded.outputs.square().sum().backward()
        return [decoded.outputs, model.attention.key.weight.grad, model.attention.location.weight.grad]

    expected = values()
    for size in (1, 2 * 8 * 6, 3 * 8 * 6, 7 * 8 * 6):
        monkeypatch.setattr(location_attention, "CPU_PIECE", size)
        for one, other in zip(values(), expected, strict=True):
            torch.testing.assert_close(one, other)


def test_gradients_of_energies_by_finite_differences() -> None:
    torch.manual_seed(0)
    shapes = (2, 3, 4), (2, 2, 4), (2, 2, 3, 2), (4, 2), (4,)
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(Energies.apply, inputs)


def test_attention_of_the_paper_has_its_size() -> None:
    attention = LocationAttention(320, 640, 640, 10, 100)
    assert sum(p.numel() for p in attention.parameters()) == 320 * 640 + 640 * 640 + 640 + 1000 + 6400 + 640
    previous = torch.eye(300)[150:151]
    inside = torch.ones(1, 300, dtype=torch.bool)
    nn.init.zeros_(attention.energy.weight)
    assert attention(torch.zeros(1, 300, 640), torch.zeros(1, 640), previous, inside).unique().tolist() == [
        pytest.approx(1 / 300)
    ]


def test_log_probabilities() -> None:
    model = make_model()
    outputs = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = (outputs @ model.output.weight.t() + model.output.bias).exp()
    torch.testing.assert_close(model.log_probabilities(outputs).exp(), expected / expected.sum(-1, keepdim=True))


def test_scheduled_sampling_of_everything_reads_the_best() -> None:
    model = make_model()
    features, tokens = utterances()
    encoding = model.encode(padded(features), LENGTHS)
    decoded = model.teacher(encoding, tokens, sampling=1.0)
    best = model.log_probabilities(decoded.outputs).argmax(-1)
    assert not torch.equal(best, tokens)
    assert_equal(decoded, model.teacher(encoding, best))


def test_scheduled_sampling_takes_one_number_and_is_repeatable() -> None:
    model = make_model()
    features, tokens = utterances()
    encoding = model.encode(padded(features), LENGTHS)
    after, outputs = [], []
    for length in (2, 5):
        generator = torch.Generator().manual_seed(7)
        outputs.append(model.teacher(encoding, tokens[:, :length], 0.5, generator).outputs)
        after.append(torch.rand(1, generator=generator))
    assert torch.equal(after[0], after[1])
    torch.testing.assert_close(outputs[0], outputs[1][:, :2])
    assert not torch.equal(outputs[1], model.teacher(encoding, tokens).outputs)


@pytest.mark.parametrize("sampling", [0.0, 0.5])
def test_parts_of_a_batch_add_up_to_it(sampling: float) -> None:
    """What processes that share a batch compute, dropout and sampling included, is what one computes."""
    model = make_model().train()
    set_dropout(model, 0.4)
    features, tokens = utterances()

    def gradients(rows: slice, share: Share | None) -> list[Tensor]:
        set_share(model, share)
        torch.manual_seed(5)
        mine = features[rows]
        encoding = model.encode(padded(mine), LENGTHS[rows])
        decoded = model.teacher(encoding, tokens[rows], sampling)
        loss = model.log_probabilities(decoded.outputs)[..., 2].sum() + decoded.states.square().sum()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    whole = gradients(slice(None), None)
    parts = [gradients(rows, Share(rows, 4, True, lambda x: x)) for rows in (slice(0, None, 2), slice(1, None, 2))]
    assert not torch.equal(model.output_dropout.mask(torch.ones(1, 2, 4)), torch.ones(2, 4))
    for one, *several in zip(whole, *parts, strict=True):
        torch.testing.assert_close(sum(several), one)


def test_dropout_is_off_in_evaluation_and_only_on_outputs_of_the_decoder() -> None:
    model = make_model()
    features, tokens = utterances()
    encoding = model.encode(padded(features), LENGTHS)
    expected = model.teacher(encoding, tokens)
    assert torch.equal(model.teacher(model.encode(padded(features), LENGTHS), tokens).outputs, expected.outputs)
    model.train()
    found = model.teacher(encoding, tokens)
    torch.testing.assert_close(found.states, expected.states)
    ratio = found.outputs / expected.outputs
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert not torch.equal(model.encode(padded(features), LENGTHS).states, encoding.states)


def test_mistakes() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="no frame"):
        model.encode(torch.zeros(2, 5, 2, dtype=torch.float64), torch.tensor([5, 0]))
    encoding = model.encode(torch.zeros(1, 5, 2, dtype=torch.float64), torch.tensor([5]))
    with pytest.raises(ValueError, match="no auxiliary outputs"):
        model.auxiliary_scores(encoding)
    with pytest.raises(ValueError, match="encoder_layers must be at least 1"):
        A2wModelConfig(encoder_layers=0)
    with pytest.raises(ValueError, match="dropout must be"):
        A2wModelConfig(dropout=1.0)


def test_learns_to_copy_in_order() -> None:
    """Attention finds the frames: tokens are told by single frames, in their order."""
    torch.manual_seed(0)
    config = A2wModelConfig(feature_dim=6, stack=1, encoder_layers=1, encoder_dim=16, decoder_dim=16, embedding_dim=8,
                            attention_dim=16, attention_filters=2, attention_width=5, dropout=0.0)  # fmt: skip
    model = A2wModel(config, 6)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    tokens = torch.cat([torch.randint(2, 6, (16, 4)), torch.ones(16, 1, dtype=torch.int64)], 1)
    features = nn.functional.one_hot(tokens.repeat_interleave(2, 1), 6).float()
    for _ in range(80):
        optimizer.zero_grad()
        outputs = model.teacher(model.encode(features, torch.full((16,), 10)), tokens).outputs
        loss = -model.log_probabilities(outputs).gather(2, tokens[..., None]).mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
