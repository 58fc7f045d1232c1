"""S4's emotion network: self-attention against its formula, and padding and company that change nothing."""

import math

import pytest
import torch
from torch import Tensor

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.models.frame_ops import Share
from sertools.models.layers import set_share
from sertools.models.self_attention import StructuredSelfAttention
from sertools.models.speech_text import SpeechTextConfig, SpeechTextNetwork

SMALL = SpeechTextConfig(
    ("audio", "words", "decoder_states"), feature_dim=5, word_dim=4, lstm_dim=3, heads=2, attention_dim=6, hidden_dim=7
)


def by_hand(layer: StructuredSelfAttention, h: list[list[float]]) -> tuple[list[float], list[list[float]]]:
    """Equations 3 to 5 of S4, number by number."""
    w1, w2 = layer.hidden.weight.tolist(), layer.score.weight.tolist()
    vector, weights = [], []
    for head in w2:
        energies = []
        for row in h:
            hidden = [math.tanh(sum(a * b for a, b in zip(node, row, strict=True))) for node in w1]
            energies.append(sum(a * b for a, b in zip(head, hidden, strict=True)))
        shares = [math.exp(e) / sum(math.exp(other) for other in energies) for e in energies]
        weights.append(shares)
        vector += [sum(a * row[d] for a, row in zip(shares, h, strict=True)) for d in range(len(h[0]))]
    return vector, weights


def test_structured_self_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    layer = StructuredSelfAttention(4, 5, 3).double()
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    x[0, 4:] = float("nan")  # beyond the end: must not be looked at
    found, weights = layer(x, torch.tensor([4, 6]))
    assert found.shape == (2, 12)
    for row, length in ((0, 4), (1, 6)):
        vector, shares = by_hand(layer, x[row, :length].tolist())
        torch.testing.assert_close(found[row], torch.tensor(vector, dtype=torch.float64))
        torch.testing.assert_close(weights[row, :, :length], torch.tensor(shares, dtype=torch.float64))
        assert float(weights[row, :, length:].abs().sum()) == 0
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 3, dtype=torch.float64))


def network(config: SpeechTextConfig = SMALL) -> SpeechTextNetwork:
    torch.manual_seed(1)
    model = SpeechTextNetwork(config, 3, num_words=9, state_dim=6).double().eval()
    model.set_input_statistics(torch.full((5,), 2.0), torch.full((5,), 3.0))
    return model


def sequences(lengths: list[tuple[int, int, int]], more: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """What each branch reads of utterances of so many frames, words and states, with ``more`` padding."""
    generator = torch.Generator().manual_seed(2)
    made = {}
    kinds = {
        "audio": lambda n: torch.randn(n, 5, generator=generator, dtype=torch.float64),
        "words": lambda n: torch.randint(9, (n,), generator=generator),
        "decoder_states": lambda n: torch.randn(n, 6, generator=generator, dtype=torch.float64),
    }
    for column, (name, make) in enumerate(kinds.items()):
        rows = [make(one[column]) for one in lengths]
        rows.append(rows[0].new_zeros(max(len(row) for row in rows) + more, *rows[0].shape[1:]))
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=5)[:-1]
        made[name] = padded, torch.tensor([one[column] for one in lengths])
    return made


LENGTHS = [(9, 3, 4), (4, 1, 6), (7, 5, 1)]


def test_padding_and_company_change_nothing() -> None:
    model = network()
    together = model(sequences(LENGTHS))
    assert together.shape == (3, 3)
    torch.testing.assert_close(model(sequences(LENGTHS, more=3)), together)
    all_of = sequences(LENGTHS)
    for row in range(3):
        alone = {name: (x[row : row + 1, : int(n[row])], n[row : row + 1]) for name, (x, n) in all_of.items()}
        torch.testing.assert_close(model(alone), together[row : row + 1])


def test_zeros_read_as_speech() -> None:
    """Padding that is not masked is what frames at the mean would be, and makes a difference."""
    config = from_dict(SpeechTextConfig, {"branches": ["audio"], "feature_dim": 5, "lstm_dim": 3, "attention_dim": 4})
    model = network(config)
    read = {"audio": sequences(LENGTHS)["audio"]}
    longer = torch.full((3, 12, 5), 2.0, dtype=torch.float64)  # the mean, which becomes 0
    for row, (frames, *_) in enumerate(LENGTHS):
        longer[row, :frames] = read["audio"][0][row, :frames]
    expected = model({"audio": (longer, torch.tensor([12, 12, 12]))})
    torch.testing.assert_close(model(read, pad_to=12), expected)
    assert float((model(read) - expected).abs().max()) > 1e-3


def test_branches_are_put_side_by_side() -> None:
    everything = sequences(LENGTHS)
    for name in ("audio", "words", "decoder_states"):
        config = from_dict(SpeechTextConfig, vars(SMALL) | {"branches": [name]})
        model = network(config)
        before = model(everything)
        for other, (x, _) in everything.items():
            changed = everything | {other: (x * 2 if x.is_floating_point() else (x + 1) % 9, everything[other][1])}
            assert bool(torch.equal(model(changed), before)) == (other != name)
    both = network()
    assert both.hidden.in_features == 3 * 2 * (2 * 3)


def test_dropout_of_processes_that_share_a_batch() -> None:
    """Each draws the masks of all of the batch."""
    model = network().train()
    torch.manual_seed(5)
    together = model(sequences(LENGTHS))
    torch.manual_seed(5)
    assert float((together - network()(sequences(LENGTHS))).abs().max()) > 1e-4, "there is dropout"
    for rank in range(2):
        rows = slice(rank, None, 2)
        set_share(model, Share(rows, 3, True, lambda x: x))
        part = {name: (x[rows], lengths[rows]) for name, (x, lengths) in sequences(LENGTHS).items()}
        torch.manual_seed(5)
        torch.testing.assert_close(model(part), together[rows])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"branches": []}, "branches must name one or more"),
        ({"branches": ["audio", "audio"]}, "each once"),
        ({"branches": ["video"]}, "must be one of audio, words, decoder_states"),
        ({"dropout": 1.0}, "below 1"),
        ({"heads": 0}, "heads must be at least 1"),
    ],
)
def test_configurations_that_make_no_network(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_dict(SpeechTextConfig, settings)
