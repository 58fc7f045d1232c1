"""When words of a transcript are said: matched with an aligner's, by hand."""

import logging
from pathlib import Path

import pytest
import torch
from lhotse import AudioSource, CutSet, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from sertools.errors import UserError
from sertools.features import access
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.utterance.word_times import WordTimesConfig, times_of
from sertools.manifests import load_cuts

ALIGNED = [AlignmentItem("I", 1.0, 0.5), AlignmentItem("DON'T", 1.5, 1.0), AlignmentItem("KNOW", 3.0, 1.5)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know.", [(1.0, 1.5), (1.5, 2.5), (3.0, 4.5)]),
        # not said, as the aligner sees it: they share what lies between
        ("[LAUGHTER] I don't uh - know", [(0.0, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 2.75), (2.75, 3.0), (3.0, 4.5)]),
        ("I oh don't know. [BREATHING]", [(1.0, 1.5), (1.5, 1.5), (1.5, 2.5), (3.0, 4.5), (4.5, 5.0)]),
        # more than the transcript has, and spelled otherwise
        ("I know", [(1.0, 1.5), (3.0, 4.5)]),
        ("I dont know", [(1.0, 1.5), (1.5, 2.5), (3.0, 4.5)]),
        ("", []),
    ],
)
def test_words_get_the_times_of_their_own(text: str, expected: list[tuple[float, float]]) -> None:
    assert times_of(text.split(), ALIGNED, 5.0) == expected


def test_without_an_aligner_words_share_the_time() -> None:
    assert times_of(["a", "b"], [], 5.0) == [(0.0, 2.5), (2.5, 5.0)]


def make(tmp_path: Path, aligned: list[list[AlignmentItem]]) -> list[torch.Tensor]:
    """Rows of utterances "I don't know" of 5 s, the second one a later part of its recording."""
    cuts = []
    for number, items in enumerate(aligned):
        recording = Recording(f"r{number}", [AudioSource("file", [0], "unread.wav")], 16000, 128000, 8.0)
        told = SupervisionSegment(f"u{number}", recording.id, 0.0, 8.0, text="I don't know", speaker="s",
                                  alignment={"word": items} if items else None)  # fmt: skip
        cut = recording.to_cut()
        cut.id, cut.supervisions = told.id, [told]
        cuts.append(cut.truncate(offset=number, duration=5.0, preserve_id=True))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    config = FeaturesConfig(WordTimesConfig())
    compute_features(tmp_path / "cuts.jsonl.gz", tmp_path / "out", config)
    collect_features(tmp_path / "cuts.jsonl.gz", tmp_path / "out", config)
    return [access.read(cut, "word_times") for cut in load_cuts(tmp_path / "out/cuts.jsonl.gz")]


def test_as_a_kind_of_features(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    later = [item._replace(start=item.start + 1) for item in ALIGNED]
    with caplog.at_level(logging.INFO):
        first, second, third = make(tmp_path, [ALIGNED, later, []])
    expected = torch.tensor([[0.2, 0.3], [0.3, 0.5], [0.6, 0.9]])
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(third, torch.tensor([[0, 1 / 3], [1 / 3, 2 / 3], [2 / 3, 1]]))
    assert "1 of 3 utterances have no words in time" in caplog.text


def test_no_alignment_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no alignment 'word' in any of 1 utterances.*wdseg"):
        make(tmp_path, [[]])
