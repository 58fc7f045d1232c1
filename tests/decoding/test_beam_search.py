"""Beam search against all sequences there are, against a search in plain lists, and its invariances."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from sertools.decoding.beam_search import BeamConfig, Hypothesis, beam_search, score_tokens
from sertools.models.a2w import END, A2wModel, A2wModelConfig, DecoderState, Encoding

CONFIG = A2wModelConfig(
    feature_dim=2, stack=1, encoder_layers=1, encoder_dim=3, decoder_dim=4, embedding_dim=3, attention_dim=5,
    attention_filters=2, attention_width=3,
)  # fmt: skip
LENGTHS = torch.tensor([4, 9, 1])
SETTINGS = [
    {}, {"length_power": 0.0}, {"length_power": 0.6}, {"coverage": 0.2}, {"length_power": 0.0, "coverage": 0.5},
    {"coverage": 0.1, "coverage_threshold": 0.2},
]  # fmt: skip


def make_model(tokens: int, seed: int = 0, end: float = 0.0, scale: float = 1.0) -> A2wModel:
    """Random weights; the end symbol is made more probable by ``end``."""
    torch.manual_seed(seed)
    model = A2wModel(CONFIG, tokens).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    model.output.bias.data[END] += end
    return model


def encode(model: A2wModel, lengths: Tensor = LENGTHS) -> Encoding:
    torch.manual_seed(1)
    features = [torch.randn(int(length), 2, dtype=torch.float64) for length in lengths]
    return model.encode(nn.utils.rnn.pad_sequence(features, batch_first=True), lengths)


def one_of(encoding: Encoding, number: int) -> Encoding:
    return encoding.select(torch.tensor([number]))


@dataclass(frozen=True)
class Plain:
    """A hypothesis of the reference."""

    tokens: tuple[int, ...]
    log_probability: float
    covered: Tensor
    state: DecoderState

    def score(self, config: BeamConfig) -> float:
        frames = int((self.covered > config.coverage_threshold).sum())
        return self.log_probability / len(self.tokens) ** config.length_power + config.coverage * frames


def continued(model: A2wModel, encoding: Encoding, hypothesis: Plain) -> list[Plain]:
    """A hypothesis and one token more, for all tokens."""
    output, state = model.attend(encoding, hypothesis.state)
    log_probs = model.log_probabilities(output)[0].tolist()
    covered = hypothesis.covered + state.weights[0]
    return [
        Plain((*hypothesis.tokens, token), hypothesis.log_probability + log_prob, covered,
              model.read(state, torch.tensor([token])))
        for token, log_prob in enumerate(log_probs)
    ]  # fmt: skip


def start(model: A2wModel, encoding: Encoding) -> Plain:
    state = model.start(encoding)
    return Plain((), 0.0, state.weights[0], state)


@torch.no_grad()
def all_sequences(model: A2wModel, encoding: Encoding, config: BeamConfig) -> list[Plain]:
    """Everything of at most max_tokens tokens that ends with END, best first."""
    found, live = [], [start(model, encoding)]
    for _ in range(config.max_tokens):
        longer = [new for hypothesis in live for new in continued(model, encoding, hypothesis)]
        found += [hypothesis for hypothesis in longer if hypothesis.tokens[-1] == END]
        live = [hypothesis for hypothesis in longer if hypothesis.tokens[-1] != END]
    return sorted(found, key=lambda h: -h.score(config))


@torch.no_grad()
def plain_search(model: A2wModel, encoding: Encoding, config: BeamConfig) -> list[Plain]:
    """Beam search of one utterance as the docstring of beam_search tells it, to the last token."""
    live, ended = [start(model, encoding)], []
    for _ in range(config.max_tokens):
        longer = [new for hypothesis in live for new in continued(model, encoding, hypothesis)]
        longer.sort(key=lambda h: -h.score(config))
        ended += [hypothesis for hypothesis in longer[: config.beam] if hypothesis.tokens[-1] == END]
        live = [hypothesis for hypothesis in longer if hypothesis.tokens[-1] != END][: config.beam]
    return sorted(ended or live, key=lambda h: -h.score(config))[: config.beam]


def words(hypothesis: Plain) -> tuple[int, ...]:
    return tuple(token for token in hypothesis.tokens if token != END)


def assert_same(found: list[Hypothesis], expected: list[Plain], config: BeamConfig) -> None:
    assert [h.tokens for h in found] == [words(h) for h in expected]
    assert [h.ended for h in found] == [h.tokens[-1] == END for h in expected]
    assert [h.log_probability for h in found] == pytest.approx([h.log_probability for h in expected])
    assert [h.score for h in found] == pytest.approx([h.score(config) for h in expected])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("tokens", "longest"), [(3, 5), (5, 3)])
def test_wide_beam_is_exhaustive(tokens: int, longest: int, setting: dict[str, float]) -> None:
    """With room for all, all that can end are found, in the right order."""
    config = BeamConfig(beam=tokens**longest, max_tokens=longest, look_ahead=longest, **setting)
    for seed in range(3):
        model = make_model(tokens, seed)
        encoding = encode(model)
        for number, found in enumerate(beam_search(model, encoding, config)):
            expected = all_sequences(model, one_of(encoding, number), config)
            assert found[0].tokens == words(expected[0])
            assert found[0].score == pytest.approx(expected[0].score(config))
            # what ended before the search did is complete, and no sequence appears twice
            by_words = {words(h): h for h in expected}
            assert len({h.tokens for h in found}) == len(found)
            for hypothesis in found:
                assert hypothesis.score == pytest.approx(by_words[hypothesis.tokens].score(config))
    assert len(expected) == sum((tokens - 1) ** length for length in range(longest))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("beam", [1, 2, 4])
def test_equals_a_search_in_plain_lists(beam: int, setting: dict[str, float]) -> None:
    """The best hypothesis with a look-ahead to the end, whatever a narrow beam loses."""
    config = BeamConfig(beam=beam, max_tokens=6, look_ahead=6, **setting)
    lost = 0
    for seed in range(3):
        model = make_model(6, seed, end=-1.0)
        encoding = encode(model)
        for number, found in enumerate(beam_search(model, encoding, config)):
            expected = plain_search(model, one_of(encoding, number), config)
            assert_same(found[:1], expected[:1], config)
            lost += len(found) < len(expected)
    assert beam == 1 or lost < 9


def test_all_of_the_list_where_nothing_stops_the_search() -> None:
    """A reward for length lets the search go on to the last token: all hypotheses are the reference's."""
    config = BeamConfig(beam=3, max_tokens=6, look_ahead=6, length_power=3.0)
    for seed in range(5):
        model = make_model(5, seed)
        encoding = encode(model)
        for number, found in enumerate(beam_search(model, encoding, config)):
            assert_same(found, plain_search(model, one_of(encoding, number), config), config)


@pytest.mark.parametrize("setting", SETTINGS)
def test_batch_is_one_by_one(setting: dict[str, float]) -> None:
    """Whatever else is searched, finishes sooner or is longer."""
    config = BeamConfig(beam=3, max_tokens=12, look_ahead=3, **setting)
    lengths, ends = torch.tensor([5, 30, 1, 12, 8, 2]), set()
    for seed in range(3):
        model = make_model(20, seed, scale=2.0)
        encoding = encode(model, lengths)
        together = beam_search(model, encoding, config)
        for number, found in enumerate(together):
            (alone,) = beam_search(model, one_of(encoding, number), config)
            assert [h.tokens for h in found] == [h.tokens for h in alone]
            for one, other in zip(found, alone, strict=True):
                assert one.score == pytest.approx(other.score)
                for name in ("states", "outputs", "weights"):
                    torch.testing.assert_close(getattr(one, name), getattr(other, name))
                assert one.weights.shape[1] == int(encoding.lengths[number])
            ends.add(len(found[0].tokens))
    assert len(ends) > 2


def test_vectors_are_those_of_the_teacher() -> None:
    config = BeamConfig(beam=4, max_tokens=6)
    model = make_model(7, 3, end=1.0)
    encoding = encode(model)
    count = 0
    for number, found in enumerate(beam_search(model, encoding, config)):
        for hypothesis in found:
            read = [*hypothesis.tokens, END] if hypothesis.ended else list(hypothesis.tokens)
            decoded = model.teacher(one_of(encoding, number), torch.tensor([read]))
            for name in ("states", "outputs", "weights"):
                torch.testing.assert_close(getattr(hypothesis, name), getattr(decoded, name)[0])
            count += 1
    assert count > 6


def test_beam_of_one_is_greedy() -> None:
    model = make_model(8, 2, end=-0.5)
    encoding = encode(model)
    for number, (found,) in enumerate(beam_search(model, encoding, BeamConfig(beam=1, max_tokens=9))):
        best, one = start(model, one_of(encoding, number)), one_of(encoding, number)
        for _ in range(9):
            best = max(continued(model, one, best), key=lambda h: h.log_probability)
            if best.tokens[-1] == END:
                break
        assert found.tokens == words(best)
        assert found.log_probability == pytest.approx(best.log_probability)


def test_ties_are_broken_in_order() -> None:
    """Where all is equally likely: the hypothesis that ended first, and the smaller token."""
    model = make_model(200)
    nn.init.zeros_(model.output.weight)
    nn.init.zeros_(model.output.bias)
    found = beam_search(model, encode(model), BeamConfig(beam=4, max_tokens=3, look_ahead=3))
    # of 0, END, 2, 3 one has ended; 0, 2, 3, 4 live on; of 00, 0END, 02, 03 another, and so on
    assert [[h.tokens for h in one] for one in found] == [[(), (0,), (0, 0)]] * 3


def test_nothing_ends() -> None:
    model = make_model(5, end=-1e9)
    for found in beam_search(model, encode(model), BeamConfig(beam=2, max_tokens=4)):
        assert len(found) == 2
        assert not any(h.ended for h in found)
        assert all(len(h.tokens) == len(h.states) == 4 for h in found)
        assert found[0].score >= found[1].score
        assert found[0].score == pytest.approx(found[0].log_probability / 4)


def test_no_more_tokens_than_frames_allow() -> None:
    """As if each utterance had been searched alone with its own max_tokens; the shortest has one token."""
    model = make_model(4)
    encoding = encode(model)
    found = beam_search(model, encoding, BeamConfig(beam=3, max_tokens=5, look_ahead=5, tokens_per_frame=0.7))
    limits = [min(5, max(1, int(0.7 * frames))) for frames in encoding.lengths.tolist()]
    assert len(set(limits)) > 1
    for number, limit in enumerate(limits):
        alone = one_of(encoding, number)
        (expected,) = beam_search(model, alone, BeamConfig(beam=3, max_tokens=limit, look_ahead=5))
        assert [(h.tokens, h.ended) for h in found[number]] == [(h.tokens, h.ended) for h in expected]
        assert [h.score for h in found[number]] == pytest.approx([h.score for h in expected])
    assert BeamConfig(tokens_per_frame=0.7).limit(1) == 1


def test_only_the_end_symbol_is_likely() -> None:
    model = make_model(5, end=1e3)
    for found in beam_search(model, encode(model), BeamConfig()):
        assert found[0].tokens == ()
        assert found[0].ended
        assert len(found[0].states) == len(found[0].weights) == 1


def test_look_ahead_stops_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer one finds at least as good hypotheses, and takes at least as many steps."""
    steps = 0
    attend = A2wModel.attend

    def counted(model: A2wModel, encoding: Encoding, state: DecoderState) -> tuple[Tensor, DecoderState]:
        nonlocal steps
        steps += 1
        return attend(model, encoding, state)

    monkeypatch.setattr(A2wModel, "attend", counted)
    model = make_model(6, 4, end=1.0)
    encoding = encode(model)
    taken, scores = [], []
    for look_ahead in (0, 2, 5, 30):
        steps = 0
        found = beam_search(model, encoding, BeamConfig(max_tokens=30, look_ahead=look_ahead))
        taken.append(steps)
        scores.append([one[0].score for one in found])
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]
    for fewer, more in itertools.pairwise(scores):
        assert all(a <= b + 1e-12 for a, b in zip(fewer, more, strict=True))


def test_coverage_lets_longer_hypotheses_win() -> None:
    model = make_model(5, 1, end=2.0)
    encoding = encode(model)
    plain = BeamConfig(beam=5, max_tokens=6, look_ahead=6)
    lengths = [
        sum(len(found[0].tokens) for found in beam_search(model, encoding, replace(plain, coverage=coverage)))
        for coverage in (0.0, 100.0)
    ]
    assert lengths[0] < lengths[1]


def test_scores_of_given_sequences() -> None:
    model = make_model(7)
    encoding = encode(model)
    tokens = [[[2, 3], [2, 3, 4], [], [2, 3], [6, 6, 6, 6]], [], [[0]]]
    found = score_tokens(model, encoding, tokens)
    assert [len(x) for x in found] == [5, 0, 1]
    for number, (sequences, values) in enumerate(zip(tokens, found, strict=True)):
        for sequence, value in zip(sequences, values, strict=True):
            whole = torch.tensor([[*sequence, END]])
            outputs = model.teacher(one_of(encoding, number), whole).outputs
            expected = model.log_probabilities(outputs).gather(2, whole[..., None]).sum()
            assert value == pytest.approx(float(expected))


def test_scores_of_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sertools.decoding.beam_search.CHUNK", 2)
    model = make_model(7, 3, end=1.0)
    encoding = encode(model)
    found = [[h for h in one if h.ended] for one in beam_search(model, encoding, BeamConfig(beam=6, max_tokens=9))]
    scores = score_tokens(model, encoding, [[h.tokens for h in one] for one in found])
    assert sum(map(len, scores)) > 6
    for one, values in zip(found, scores, strict=True):
        assert values == pytest.approx([h.log_probability for h in one])


def test_scores_that_are_no_numbers() -> None:
    model = make_model(5)
    model.output.bias.data[3] = float("nan")
    with pytest.raises(ValueError, match="not numbers"):
        beam_search(model, encode(model), BeamConfig())


@pytest.mark.parametrize("mistake", [{"beam": 0}, {"max_tokens": 0}, {"length_power": -1.0}, {"coverage": -0.1},
                                     {"tokens_per_frame": -0.1}])  # fmt: skip
def test_mistakes(mistake: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        BeamConfig(**mistake)
