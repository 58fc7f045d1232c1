"""Words by BERT, against transformers' own forward pass and sub-words counted by hand."""

import logging
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_bert, tiny_speech

from sertools.backbones.load import load_speech, load_text
from sertools.errors import UserError

pytestmark = pytest.mark.transformers


def test_words_are_means_of_their_sub_words(tmp_path: Path) -> None:
    model = tiny_bert(tmp_path)
    encoder = load_text(tmp_path)
    assert (encoder.backbone.layers, encoder.backbone.dimension, encoder.backbone.frame_rate) == (4, 16, None)
    sentences = [["the", "dogs", "don't", "run"], [], ["fast"], ["running", "zebra", "fast"]]
    found = encoder.word_states(sentences)
    assert [tuple(states.shape) for states in found] == [(4, 4, 16), (4, 0, 16), (4, 1, 16), (4, 3, 16)]
    # [CLS] the dog ##s don ' t run [SEP], and [CLS] run ##ning [UNK] fast [SEP]
    for words, ids, places in (
        (0, [2, 5, 6, 7, 12, 10, 11, 8, 3], [[1], [2, 3], [4, 5, 6], [7]]),
        (3, [2, 8, 9, 1, 13, 3], [[1, 2], [3], [4]]),
    ):
        with torch.inference_mode():
            hidden = torch.cat(model(torch.tensor([ids]), output_hidden_states=True).hidden_states)
        expected = torch.stack([hidden[:, of].mean(1) for of in places], 1)
        torch.testing.assert_close(found[words], expected, rtol=0, atol=1e-5)
        first = encoder.word_states([sentences[words]], [3], "first")[0]
        torch.testing.assert_close(first[0], hidden[3, [of[0] for of in places]], rtol=0, atol=1e-5)


def test_long_sentences_and_words_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny_bert(tmp_path)
    encoder = load_text(tmp_path)
    words = ["the", "dogs", "run", "fast"] * 4
    with caplog.at_level(logging.WARNING):
        (long,) = encoder.word_states([words])
        (odd,) = encoder.word_states([["the", "\u200b", "dog"]])
    assert long.shape == (4, 16, 16)
    torch.testing.assert_close(long[:, :4], encoder.word_states([words[:8]])[0][:, :4], rtol=0, atol=1e-5)
    assert "16 words is computed in 2 pieces" in caplog.text
    torch.testing.assert_close(odd, encoder.word_states([["the", "zebra", "dog"]])[0], rtol=0, atol=1e-5)
    assert "nothing of the word" in caplog.text


def test_speech_is_no_text(tmp_path: Path) -> None:
    tiny_speech(tmp_path / "s", "Wav2Vec2")
    tiny_bert(tmp_path / "t")
    with pytest.raises(UserError, match="text models that are known"):
        load_text(tmp_path / "s")
    with pytest.raises(UserError, match="speech models that are known"):
        load_speech(tmp_path / "t")
    for name in ("tokenizer.json", "vocab.txt"):
        (tmp_path / "t" / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="no tokenizer"):
        load_text(tmp_path / "t")
