"""The acoustic-to-word recogniser trains, is decoded and waits for a (fake) CUDA device as it should."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lhotse import CutSet

from sertools.a2w.auxiliary import AuxiliarySources
from sertools.a2w.decoding import reader_of, recognise
from sertools.a2w.system import A2wConfig
from sertools.a2w.training import load_a2w, train_a2w
from sertools.config import from_dict
from sertools.decoding.beam_search import BeamConfig
from sertools.manifests import read_cuts
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions

if TYPE_CHECKING:
    from fake_cuda import FakeCuda


def config(auxiliary: str, **others: Any) -> A2wConfig:
    values = {
        "model": {"feature_dim": 6, "encoder_dim": 5, "encoder_layers": 1, "stack": 6, "decoder_dim": 5,
                  "embedding_dim": 5, "attention_dim": 4, "attention_width": 3},
        "auxiliary": auxiliary, "sampling": 0.2, "guide": 0.5, "data": {"batch_frames": 2000},
        "dev_search": {"beam": 1, "max_tokens": 3},
        "training": {"epochs": 1, "select_by": "dev_wer"},
    }  # fmt: skip
    return from_dict(A2wConfig, values | others)


@pytest.mark.parametrize("auxiliary", ["none", "ctc", "lfmmi"])
def test_as_on_the_cpu(cuda: "FakeCuda", tiny_words: Any, tmp_path: Path, auxiliary: str) -> None:
    cuts = tmp_path / "cuts.jsonl.gz"
    CutSet.from_cuts(list(read_cuts(tiny_words.dev))[:5]).to_file(cuts)
    found = []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            made = train_a2w(
                config(auxiliary), tiny_words.vocabulary, cuts, cuts, tmp_path / device,
                sources=AuxiliarySources(tiny_words.lang, tiny_words.graphs), conditions=Conditions(device=device),
            )  # fmt: skip
            recogniser = load_a2w(made, device)
            reader = reader_of(recogniser, list(read_cuts(cuts)), "")
            heard = [one.hypothesis for one in recognise(recogniser, reader, BeamConfig(beam=3, max_tokens=5), 9999)]
        found.append((load_checkpoint(made), heard))
    (ours, our_heard), (theirs, their_heard) = found
    for name, value in ours.weights.items():
        torch.testing.assert_close(value, theirs.weights[name], atol=2e-3, rtol=2e-3, msg=name)
    assert [one.tokens for one in our_heard] == [one.tokens for one in their_heard]
