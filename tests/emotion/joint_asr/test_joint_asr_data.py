"""S4's words as ids, and batches of them."""

import dataclasses
import json

import pytest
import torch
from small_s4 import spoken

from sertools.data.batching import Part
from sertools.data.weights import balanced_weights
from sertools.emotion.joint_asr.config import DataConfig, WordsConfig
from sertools.emotion.joint_asr.data import collate, events_as_words, plan
from sertools.emotion.joint_asr.words import WordReader
from sertools.errors import UserError


def test_words_as_ids() -> None:
    train = [spoken("a", "no", "tree", "no"), spoken("b", "tree", "no", "[laughter]"), spoken("c", "rare")]
    reader = WordReader.of(WordsConfig(min_count=2), train, None)
    assert reader.vocabulary.tokens == ("<UNK>", "<eos>", "no", "tree")
    ids, lengths = reader([*train, spoken("d")], "reference")
    assert ids.tolist() == [[2, 3, 2, 1], [3, 2, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert lengths.tolist() == [4, 3, 2, 1], "the end symbol counts, so that no utterance is empty"
    again = WordReader.from_info(json.loads(json.dumps(reader.about())))
    assert torch.equal(again([*train, spoken("d")], "reference")[0], ids)
    assert events_as_words(["[breathing_in]", "no"]) == ["breathing", "in", "no"]
    heard = dataclasses.replace(train[0], recognised=("tree",))
    assert reader([heard], "asr")[0].tolist() == [[3, 1]]
    with pytest.raises(UserError, match="no recognised transcript of b"):
        reader([train[1]], "asr")


def test_batches() -> None:
    some = [spoken(f"u{n}", frames=5 + n) for n in range(23)]
    for generator in (None, torch.Generator().manual_seed(1)):
        batches = plan(some, 5, generator)
        assert sorted(i for batch in batches for i in batch) == list(range(23))
        assert sorted(map(len, batches)) == [3, 5, 5, 5, 5]
    assert plan(some, 5, None)[0] == [0, 1, 2, 3, 4]
    config = DataConfig(max_frames=8)
    first = collate(some, config, torch.Generator().manual_seed(0))
    assert first.lengths.tolist() == [min(5 + n, 8) for n in range(23)]
    assert first.audio[20, :, 0].tolist() == [float(n) for n in range(8)]
    anywhere = collate(some, dataclasses.replace(config, crop="random"), torch.Generator().manual_seed(0))
    starts = anywhere.audio[:, 0, 0]
    assert torch.equal(anywhere.audio[22, :, 0], torch.arange(8) + starts[22])
    assert float(starts.max()) > 0
    shared = collate(some, dataclasses.replace(config, crop="random"), torch.Generator().manual_seed(0),
                     Part(slice(1, None, 2), 23, True))  # fmt: skip
    assert torch.equal(shared.audio[:, 0, 0], starts[1::2])
    weights = balanced_weights([(0, 1.0), (0, 1.0), (0, 1.0), (1, 1.0)], 2)
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 2])
