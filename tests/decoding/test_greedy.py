"""Greedy decoding, and decoding into a folder."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sertools.decoding.greedy import greedy_phones, phone_errors
from sertools.decoding.lattice import load_lattices
from sertools.decoding.run import (
    DecodeConfig,
    Reference,
    decode_phones,
    decode_words,
    make_decoding_graph,
    read_lm_scale,
)
from sertools.errors import UserError
from sertools.lang.arpa import write_arpa
from sertools.lang.folder import save_lexicon
from sertools.lang.lexicon import LangConfig, Lexicon, from_dictionary, from_words
from sertools.lang.ngram import NgramConfig, estimate
from sertools.lfmmi.topology import Topology, TopologyConfig

TEXTS = {"u1": "see a sea", "u2": "a tee", "u3": "a sea see tee"}
REFERENCES = {name: Reference("spk", text) for name, text in TEXTS.items()}


def frames(phones: list[int], topology: Topology, durations: list[int], sure: float = 5.0) -> Tensor:
    """Scores of frames in which the pdfs of ``phones`` are the best."""
    pdfs = []
    for left, phone, duration in zip([0, *phones], phones, durations, strict=False):
        if topology.blank is not None and topology.first(phone, left) == (pdfs or [None])[-1]:
            pdfs.append(topology.blank)
        pdfs += [topology.first(phone, left), *[topology.repeat(phone, left)] * (duration - 1)]
    scores = torch.zeros(len(pdfs), topology.num_pdfs)
    scores[torch.arange(len(pdfs)), torch.tensor(pdfs)] = sure
    return scores


@pytest.mark.parametrize("kind", ["chain", "ctc"])
@pytest.mark.parametrize("context", ["mono", "biphone"])
def test_phones_come_back(kind: str, context: str) -> None:
    topology = Topology(TopologyConfig(kind, context), 4)  # type: ignore[arg-type]
    phones = [2, 2, 2, 1, 4, 4, 3]
    assert greedy_phones(frames(phones, topology, [1, 3, 1, 2, 1, 1, 4]), topology) == phones
    assert greedy_phones(torch.zeros(0, topology.num_pdfs), topology) == []


def test_chain_repeat_of_another_phone_begins_it() -> None:
    topology = Topology(TopologyConfig(), 3)
    scores = torch.zeros(3, 6)
    scores[torch.arange(3), torch.tensor([topology.repeat(2, 0), topology.repeat(2, 0), topology.repeat(3, 2)])] = 1
    assert greedy_phones(scores, topology) == [2, 3]


def test_phone_errors_leave_silence_out() -> None:
    assert phone_errors([2, 3, 4], [1, 2, 1, 4, 4, 1], silence=1) == (1, 3)
    assert phone_errors([2], [1, 2]) == (1, 1)


def letters() -> Lexicon:
    return from_words({word: 1 for text in TEXTS.values() for word in text.split()}, LangConfig(units="characters"))


def outputs(lexicon: Lexicon, topology: Topology, texts: dict[str, str]) -> list[tuple[str, Tensor]]:
    result = []
    for name, text in texts.items():
        phones = lexicon.text_to_phones(text)
        result.append((name, frames(phones, topology, [2] * len(phones))))
    return result


def test_greedy_words_of_characters(tmp_path: Path) -> None:
    lexicon = letters()
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    heard = TEXTS | {"u2": "a sea tee"}
    files = decode_phones(outputs(lexicon, topology, heard), REFERENCES, topology, lexicon, tmp_path)
    assert all((tmp_path / name).exists() for name in files)
    assert json.loads((tmp_path / "wer.json").read_text())["errors"]["insertions"] == 1
    # "sea|" was inserted
    assert json.loads((tmp_path / "phone_errors.json").read_text())["errors"] == 4


def test_greedy_phones_of_a_dictionary_have_no_words(tmp_path: Path) -> None:
    dictionary = {
        "see": [(("s", "i"), 1.0)],
        "sea": [(("s", "i"), 1.0)],
        "a": [(("a",), 1.0)],
        "tee": [(("t", "i"), 1.0)],
    }
    lexicon = from_dictionary(dictionary, LangConfig())
    topology = Topology(TopologyConfig("ctc"), lexicon.num_phones)
    files = decode_phones(outputs(lexicon, topology, TEXTS), REFERENCES, topology, lexicon, tmp_path)
    assert files == ["phone_errors.json"]
    assert json.loads((tmp_path / "phone_errors.json").read_text())["phone_error_rate"] == 0.0


def test_missing_outputs_are_said(tmp_path: Path) -> None:
    lexicon = letters()
    topology = Topology(TopologyConfig(), lexicon.num_phones)
    some = outputs(lexicon, topology, {"u1": "see", "u2": "a"})
    with pytest.raises(UserError, match="no output for 1 utterances, for example u3"):
        decode_phones(some, REFERENCES, topology, lexicon, tmp_path)


def test_words_with_a_language_model(tmp_path: Path) -> None:
    """The acoustics hold "see" for "sea" as often as not; the language model knows better."""
    dictionary = {
        "see": [(("s", "i"), 1.0)],
        "sea": [(("s", "i"), 1.0)],
        "a": [(("a",), 1.0)],
        "tee": [(("t", "i"), 1.0)],
    }
    lexicon = from_dictionary(dictionary, LangConfig())
    topology = Topology(TopologyConfig("chain", "biphone"), lexicon.num_phones)
    save_lexicon(lexicon, tmp_path / "lang")
    sentences = [text.split() for text in TEXTS.values()]
    write_arpa(estimate(sentences * 5, NgramConfig(3), lexicon.words), tmp_path / "lm.arpa.gz")
    assert make_decoding_graph(topology, tmp_path / "lang", tmp_path / "lm.arpa.gz", tmp_path / "graph")
    assert make_decoding_graph(topology, tmp_path / "lang", tmp_path / "lm.arpa.gz", tmp_path / "graph") is None
    config = DecodeConfig(lm_scales=(0.5, 1.0, 1.5), batch_size=2, n_best=3)
    scores = outputs(lexicon, topology, TEXTS)
    dev, test = tmp_path / "dev", tmp_path / "test"
    files = decode_words(scores, REFERENCES, tmp_path / "graph", lexicon, config, dev, keep_lattices=True)
    assert all((dev / name).exists() for name in files)
    assert json.loads((dev / "wer.json").read_text())["wer"] == 0.0
    assert read_lm_scale(dev) == 1.0
    assert list(load_lattices(dev / "lattices.safetensors")) == ["u1", "u2", "u3"]
    n_best = (dev / "n_best.txt").read_text().splitlines()
    assert [line.split()[:2] for line in n_best[:2]] == [["u1", "1"], ["u1", "2"]]
    assert n_best[0].split()[3:] == ["see", "a", "sea"]
    wrong = {"u1": Reference("spk", "tee a sea")} | {name: REFERENCES[name] for name in ("u2", "u3")}
    decode_words(scores, wrong, tmp_path / "graph", lexicon, config, test, lm_scale=0.5)
    assert json.loads((test / "wer.json").read_text())["errors"]["substitutions"] == 1
    assert read_lm_scale(test) == 0.5


def test_graph_of_another_topology_is_refused(tmp_path: Path) -> None:
    lexicon = letters()
    save_lexicon(lexicon, tmp_path / "lang")
    write_arpa(estimate([["a"]], NgramConfig(1), lexicon.words), tmp_path / "lm.arpa")
    topology = Topology(TopologyConfig(), lexicon.num_phones + 1)
    with pytest.raises(UserError, match="phones, the acoustic model"):
        make_decoding_graph(topology, tmp_path / "lang", tmp_path / "lm.arpa", tmp_path / "graph")
