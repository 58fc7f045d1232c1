"""One decoding with its stamp; the acoustic model is a stand-in that is right but for one utterance."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lhotse import CutSet, MonoCut, SupervisionSegment
from torch import Tensor

from sertools.asr import decode as decoding
from sertools.decoding.run import DecodeConfig, make_decoding_graph
from sertools.errors import UserError
from sertools.lang.arpa import write_arpa
from sertools.lang.folder import save_lexicon
from sertools.lang.lexicon import LangConfig, Lexicon, from_words
from sertools.lang.ngram import NgramConfig, estimate
from sertools.lfmmi.topology import Topology, TopologyConfig

TEXTS = {"u1": "ab ba", "u2": "ba", "u3": "ab ab ba"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """model/, lang/, cuts.jsonl.gz; the network hears "ab" in u2."""
    lexicon: Lexicon = from_words({"ab": 1, "ba": 1}, LangConfig(units="characters"))
    save_lexicon(lexicon, tmp_path / "lang")
    cuts = [
        MonoCut(name, 0, 1, 0, supervisions=[SupervisionSegment(name, name, 0, 1, text=text, speaker="s")])
        for name, text in TEXTS.items()
    ]
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    (tmp_path / "model").mkdir()
    for name in (decoding.WEIGHTS, decoding.CONFIG, decoding.INFO):
        (tmp_path / "model" / name).write_text(name)
    topology = Topology(TopologyConfig("ctc"), lexicon.num_phones)

    def log_likelihoods(model: object, cuts: object, ivector_chunk: int) -> Iterator[tuple[str, Tensor]]:
        for name, text in (TEXTS | {"u2": "ab"}).items():
            pdfs = [pdf for phone in lexicon.text_to_phones(text) for pdf in (topology.first(phone, 0), 0)]
            yield name, 9 * torch.eye(topology.num_pdfs)[torch.tensor(pdfs)]

    loaded = SimpleNamespace(phones=lexicon.phones, topology=topology)
    monkeypatch.setattr(decoding, "load_acoustic_model", lambda directory, device: loaded)
    monkeypatch.setattr(decoding, "log_likelihoods", log_likelihoods)
    return tmp_path


def decode(place: Path, **options: object) -> str | None:
    return decoding.decode_cuts(
        place / "model",
        place / "lang",
        place / "cuts.jsonl.gz",
        place / "out",
        DecodeConfig(lm_scales=(1.0,)),
        **options,
    )  # type: ignore[arg-type]


def test_phones_and_stamp(place: Path) -> None:
    assert decode(place) is not None
    assert json.loads((place / "out/wer.json").read_text())["errors"]["substitutions"] == 1
    assert decode(place) is None
    (place / "model" / decoding.WEIGHTS).write_text("other")
    assert "input model model.safetensors changed" in str(decode(place))
    (place / "out/transcripts.csv").unlink()
    assert "transcripts.csv is missing" in str(decode(place))


def test_words(place: Path) -> None:
    lexicon = decoding.load_lexicon(place / "lang")
    sentences = [text.split() for text in TEXTS.values()]
    write_arpa(estimate(sentences, NgramConfig(2), lexicon.words), place / "lm.arpa")
    topology = Topology(TopologyConfig("ctc"), lexicon.num_phones)
    make_decoding_graph(topology, place / "lang", place / "lm.arpa", place / "graph")
    assert decode(place, graph_dir=place / "graph") is not None
    assert json.loads((place / "out/wer.json").read_text())["errors"]["substitutions"] == 1
    scale = json.loads((place / "out/lm_scale.json").read_text())
    assert scale["tried"] == [{"lm_scale": 1.0, "errors": 1, "words": 6}]
    assert "input scale is new" in str(decode(place, graph_dir=place / "graph", scale_dir=place / "out"))


def test_what_is_missing_is_said(place: Path) -> None:
    with pytest.raises(UserError, match=r"graph.safetensors does not exist; .* local/make_decoding_graph.py"):
        decode(place, graph_dir=place / "graph")
    with pytest.raises(UserError, match=r"lm_scale.json does not exist; .* local/decode.py on the dev cuts"):
        decode(place, scale_dir=place / "dev")
    (place / "model" / decoding.WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"local/train_asr.py"):
        decode(place)


def test_lang_folder_of_another_model_is_refused(place: Path) -> None:
    save_lexicon(from_words({"abc": 1}, LangConfig(units="characters")), place / "lang")
    with pytest.raises(UserError, match="other phones"):
        decode(place)
