"""Graph folders: what is read is what was made; numerators fit the denominator."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from sertools.asr.graphs import (
    GraphsConfig,
    Numerators,
    PhoneLmConfig,
    load_graphs,
    make_graphs,
    pack,
    phone_sequences,
    unpack,
)
from sertools.errors import UserError
from sertools.lang.folder import load_lexicon
from sertools.lang.transcripts import read_texts
from sertools.lfmmi import Topology, estimate_phone_lm, make_denominator

LM = PhoneLmConfig(order=3, no_prune_order=2, num_extra_states=50)


def test_read_equals_made(tiny: Any) -> None:
    graphs = load_graphs(tiny.graphs)
    lexicon = load_lexicon(tiny.lang)
    sequences = list(phone_sequences(sorted(set(read_texts(tiny.train))), lexicon, LM))
    lm = estimate_phone_lm(sequences, 3, 2, 50)
    denominator = make_denominator(lm, Topology(graphs.config.topology, lexicon.num_phones))
    assert graphs.phones == lexicon.phones
    assert {k: v for k, v in vars(graphs.lm).items() if k != "table"} == vars(lm)
    for name, value in vars(denominator).items():
        found = getattr(graphs.denominator, name)
        assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value, name


def test_samples_have_all_places_of_silence(tiny: Any) -> None:
    lexicon = load_lexicon(tiny.lang)
    config = PhoneLmConfig(samples=200, edge_silence=0.8, between_silence=0.2)
    sequences = list(phone_sequences(["ab ba"], lexicon, config))
    assert len(sequences) == 200
    silence = lexicon.silence
    letters = [p for p in lexicon.text_to_phones("ab ba") if p != silence]
    assert all([p for p in s if p != silence] == letters for s in sequences)
    assert 0.7 < sum(s[0] == silence for s in sequences) / 200 < 0.9
    assert 0.7 < sum(s[-1] == silence for s in sequences) / 200 < 0.9
    assert 0.1 < sum(silence in s[1:-1] for s in sequences) / 200 < 0.3
    assert sequences == list(phone_sequences(["ab ba"], lexicon, config))


def test_every_training_text_has_a_numerator(tiny: Any) -> None:
    for folder in (tiny.graphs, tiny.graphs_ctc):
        graphs = load_graphs(folder)
        numerators = Numerators(graphs, load_lexicon(tiny.lang))
        for text in read_texts(tiny.train):
            graph = unpack(numerators(text))
            assert graph is not None
            assert int(graph.pdfs.max()) < graphs.topology.num_pdfs
        assert numerators(text) is numerators(text)


def test_pack_and_unpack(tiny: Any) -> None:
    graph = load_graphs(tiny.graphs).denominator
    again = unpack(pack(graph))
    assert again.num_states == graph.num_states
    for name in ("sources", "targets", "pdfs", "log_probs", "initial", "final"):
        assert torch.equal(getattr(again, name), getattr(graph, name))
        assert getattr(again, name).dtype == getattr(graph, name).dtype
    assert unpack(None) is None


def test_up_to_date_changed_damaged(tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = GraphsConfig(phone_lm=LM)
    assert make_graphs(tiny.lang, tiny.train, tmp_path, config) is not None
    assert "outputs of the network" in caplog.text
    assert make_graphs(tiny.lang, tiny.train, tmp_path, config) is None
    other = GraphsConfig(phone_lm=PhoneLmConfig(order=2, no_prune_order=2))
    assert "phone_lm.order: 3 -> 2" in make_graphs(tiny.lang, tiny.train, tmp_path, other)
    path = tmp_path / "denominator.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="is damaged"):
        load_graphs(tmp_path)
    with pytest.raises(UserError, match="made by the graphs stage"):
        load_graphs(tmp_path / "nowhere")


def test_graphs_of_another_lexicon(tiny: Any) -> None:
    graphs = load_graphs(tiny.graphs)
    lexicon = load_lexicon(tiny.lang)
    changed = type(lexicon)(**{**vars(lexicon), "phones": (*lexicon.phones, "zh")})
    with pytest.raises(UserError, match="another list of phones"):
        Numerators(graphs, changed)
