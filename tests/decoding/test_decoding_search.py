"""HLG and its search with k2 and with kaldi-decoder, against trying everything."""

import itertools
import logging
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sertools.decoding.graph import compile_graph, load_graph, save_graph
from sertools.decoding.kaldi_search import KaldiSearcher
from sertools.decoding.lattice import best_path, confidences, n_best, prune
from sertools.decoding.search import SearchConfig, make_searcher
from sertools.errors import MissingPackage
from sertools.lang.lexicon import LangConfig, Lexicon, from_dictionary
from sertools.lang.ngram import BEGIN, END, NgramConfig, NgramModel, estimate
from sertools.lfmmi.topology import Topology, TopologyConfig

ENGINES = [pytest.param("k2", marks=pytest.mark.k2), "kaldi"]

# a homophone pair, a word that begins another, two pronunciations
DICTIONARY = {
    "to": [(("t", "u"), 1.0)],
    "two": [(("t", "u"), 1.0)],
    "tut": [(("t", "u", "t"), 0.7), (("u", "t"), 0.3)],
    "u": [(("u",), 1.0)],
}
TEXT = [["to", "tut"], ["two", "u"], ["u", "u"], ["to"], ["tut", "two"], ["to", "u"], []]
KINDS = [("chain", "mono"), ("chain", "biphone"), ("ctc", "mono"), ("ctc", "biphone")]
WIDE = SearchConfig(search_beam=1e4, kaldi_beam=1e4, output_beam=1e3, min_active=0, max_active=1_000_000)
SILENCE_PROB = 0.3


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return from_dictionary(DICTIONARY, LangConfig(unknown=False))


def back_off_scores(model: NgramModel, words: tuple[str, ...], history: tuple[str, ...] = (BEGIN,)) -> float:
    """The best score of a sentence where words of the history may be forgotten at the price of the back-off weight."""
    history = history[max(0, len(history) - model.order + 1) :] if model.order > 1 else ()
    word, *rest = words or (END,)
    best, weight = -math.inf, 0.0
    for start in range(len(history) + 1):
        context = history[start:]
        found = model.log_probs[len(context)].get((*context, word))
        if found is not None:
            after = back_off_scores(model, tuple(rest), (*context, word)) if words else 0.0
            best = max(best, (weight + found) * math.log(10) + after)
        if context:
            weight += model.backoffs[len(context) - 1].get(context, 0.0)
    return best


def align(phones: list[int], topology: Topology, scores: np.ndarray) -> float:
    """Viterbi score of a sequence of phones."""
    states = []  # (pdf, may be skipped)
    for left, phone in zip([0, *phones], phones, strict=False):
        if topology.blank is not None:
            states.append((topology.blank, True))
        states.append((topology.first(phone, left), False))
        if topology.blank is None:
            states.append((topology.repeat(phone, left), True))
    if topology.blank is not None:
        states.append((topology.blank, True))
    best: dict[int, float] = {-1: 0.0}
    for frame in scores:
        new: dict[int, float] = {}
        for state, score in best.items():
            for target in range(max(state, 0), len(states)):
                if any(not states[n][1] for n in range(state + 1, target)):
                    break
                pdf = states[target][0]
                stays = target == state
                if stays and topology.blank is None and not states[target][1]:
                    continue  # the pdf of a first frame has one frame
                equal = topology.blank is not None and state >= 0 and not stays and pdf == states[state][0]
                if equal:
                    continue
                new[target] = max(new.get(target, -np.inf), score + frame[pdf])
        best = new
    return max((s for n, s in best.items() if all(skip for _, skip in states[n + 1 :])), default=-np.inf)


def try_everything(
    lexicon: Lexicon, model: NgramModel, topology: Topology, scores: np.ndarray, scale: float
) -> dict[tuple[str, ...], float]:
    """Best score of every word sequence of at most three words."""
    result = {}
    silence = lexicon.silence
    for length in range(4):
        for words in itertools.product(DICTIONARY, repeat=length):
            grammar = back_off_scores(model, words)
            best = -np.inf
            for said in itertools.product(*(lexicon.entries[word] for word in words)):
                for pauses in itertools.product((0, 1), repeat=length + 1):
                    phones = [silence] if pauses[0] else []
                    for (spoken, _), pause in zip(said, pauses[1:], strict=True):
                        phones += [*spoken, *([silence] if pause else [])]
                    extra = sum(score for _, score in said)
                    extra += sum(math.log(SILENCE_PROB if pause else 1 - SILENCE_PROB) for pause in pauses)
                    best = max(best, scale * (grammar + extra) + align(phones, topology, scores))
            if best > -np.inf:
                result[words] = best
    return result


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("kind", "context"), KINDS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_n_best_is_that_of_trying_everything(
    lexicon: Lexicon, kind: str, context: str, order: int, engine: str
) -> None:
    topology = Topology(TopologyConfig(kind, context), lexicon.num_phones)  # type: ignore[arg-type]
    model = estimate(TEXT, NgramConfig(order), lexicon.words)
    graph = compile_graph(topology, lexicon, model, SILENCE_PROB)
    generator = torch.Generator().manual_seed(order)
    # so few frames that no more than three words fit, the word "u" taking one
    utterances = [2 * torch.randn(frames, topology.num_pdfs, generator=generator) for frames in (3, 2, 3)]
    scale = 0.8
    search = make_searcher(graph, replace(WIDE, engine=engine), scale)
    for utterance, lattice in zip(utterances, search(utterances), strict=True):
        expected = try_everything(lexicon, model, topology, utterance.double().numpy(), scale)
        order_expected = sorted(expected, key=lambda words: -expected[words])
        found = n_best(lattice, scale, 5)
        assert [tuple(lexicon.words[word - 1] for word in words) for words, _ in found] == order_expected[:5]
        assert [score for _, score in found] == pytest.approx(
            [expected[words] for words in order_expected[:5]], abs=1e-4
        )
        assert best_path(lattice, scale).score == pytest.approx(expected[order_expected[0]], abs=1e-4)


def test_graph_survives_a_file(lexicon: Lexicon, tmp_path: Path) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(2), lexicon.words))
    save_graph(graph, tmp_path / "graph.safetensors")
    again = load_graph(tmp_path / "graph.safetensors")
    for name, value in vars(graph).items():
        assert np.array_equal(value, getattr(again, name)), name


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_that_do_not_fit_are_refused(lexicon: Lexicon, engine: str) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(1), lexicon.words))
    search = make_searcher(graph, replace(WIDE, engine=engine))
    with pytest.raises(ValueError, match="do not fit"):
        search([torch.zeros(5, topology.num_pdfs - 1)])
    with pytest.raises(ValueError, match="do not fit"):
        search([torch.zeros(0, topology.num_pdfs)])


@pytest.mark.parametrize("engine", ENGINES)
def test_too_short_for_any_word_gives_an_empty_lattice(engine: str) -> None:
    lexicon = from_dictionary({"abc": [(("a", "b", "c"), 1.0)]}, LangConfig(unknown=False, silence=False))
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    model = NgramModel(
        ({("abc",): -0.3, (END,): -0.3, (BEGIN,): -99.0}, {(BEGIN, "abc"): -0.1}), ({(BEGIN,): -99.0}, {})
    )
    search = make_searcher(compile_graph(topology, lexicon, model), replace(WIDE, engine=engine))
    short, enough = search([torch.zeros(2, topology.num_pdfs), torch.zeros(3, topology.num_pdfs)])
    assert best_path(short, 1.0).words == ()
    assert short.num_states == 0
    assert best_path(enough, 1.0).words == (1,)


def test_pruned_search_with_kaldi_finds_what_the_whole_one_finds(lexicon: Lexicon) -> None:
    """The best path of the whole search; arcs as far from it as was asked for, and no farther."""
    topology = Topology(TopologyConfig("chain", "biphone"), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(3), lexicon.words))
    utterance = 3 * torch.randn(60, topology.num_pdfs, generator=torch.Generator().manual_seed(1))
    config = SearchConfig(engine="kaldi", kaldi_beam=25.0, output_beam=6.0)
    (pruned,), (whole,) = (
        make_searcher(graph, one, 0.7)([utterance]) for one in (config, replace(WIDE, engine="kaldi", output_beam=20.0))
    )
    best = best_path(whole, 0.7)
    assert best_path(pruned, 0.7) == best
    assert 100 < len(pruned.sources) < len(whole.sources) / 3
    expected = prune(whole, 0.7, 6.0)
    assert len(pruned.sources) == len(expected.sources)
    assert n_best(pruned, 0.7, 20) == n_best(expected, 0.7, 20)
    assert n_best(expected, 0.7, 3) == n_best(whole, 0.7, 3)


@pytest.mark.k2
def test_both_engines_find_the_same(lexicon: Lexicon) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(3), lexicon.words))
    generator = torch.Generator().manual_seed(2)
    utterances = [3 * torch.randn(frames, topology.num_pdfs, generator=generator) for frames in (40, 25, 60)]
    config = SearchConfig(search_beam=40.0, kaldi_beam=40.0)
    ours, theirs = (
        make_searcher(graph, replace(config, engine=name), 0.9)(utterances)  # type: ignore[arg-type]
        for name in ("kaldi", "k2")
    )
    for one, other in zip(ours, theirs, strict=True):
        assert len(one.sources) == len(other.sources)
        found, expected = best_path(one, 0.9), best_path(other, 0.9)
        assert (found.words, found.frames) == (expected.words, expected.frames)
        assert found.score == pytest.approx(expected.score, abs=1e-3)
        assert confidences(one, found, 0.9) == pytest.approx(confidences(other, expected, 0.9), abs=1e-4)
        mine, yours = n_best(one, 0.9, 10), n_best(other, 0.9, 10)
        assert [words for words, _ in mine] == [words for words, _ in yours]


def test_the_engine_is_said(
    lexicon: Lexicon, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    graph = compile_graph(topology, lexicon, estimate(TEXT, NgramConfig(1), lexicon.words))
    monkeypatch.setitem(sys.modules, "k2", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        assert isinstance(make_searcher(graph, SearchConfig()), KaldiSearcher)
    assert "searching with kaldi-decoder, for there is no k2" in caplog.text
    with pytest.raises(MissingPackage, match=r"Set search\.engine: kaldi"):
        make_searcher(graph, SearchConfig(engine="k2"))
    monkeypatch.setitem(sys.modules, "kaldi_decoder", None)
    with pytest.raises(MissingPackage, match="pip install kaldi-decoder kaldifst"):
        make_searcher(graph, SearchConfig())
