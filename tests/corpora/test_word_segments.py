"""Sphinx's word segments: frames of 10 ms, the last one included; what is no word; what does not parse."""

from pathlib import Path

import pytest
from lhotse import SupervisionSegment
from lhotse.supervision import AlignmentItem

from sertools.corpora.word_segments import WordSegment, read_wdseg, with_words

TEXT = """\t SFrm  EFrm    SegAScr Word
\t    0     24    -207445 <s>
\t   25     36    -104123 EXCUSE(2)
\t   37     50     -99999 ME
\t   51     60     -10000 <sil>
\t   61     70     -20000 ++BREATH++
\t   71     90     -30000 DON'T
\t   91     99     -10000 </s>
 Total score:     -481567
"""


def test_words_and_their_times(tmp_path: Path) -> None:
    (tmp_path / "u.wdseg").write_text(TEXT)
    expected = [WordSegment("EXCUSE", 0.25, 0.37), WordSegment("ME", 0.37, 0.51), WordSegment("DON'T", 0.71, 0.91)]
    assert read_wdseg(tmp_path / "u.wdseg") == (expected, [])
    supervision = with_words(SupervisionSegment("u", "u", 0.0, 0.8), expected)
    assert supervision.alignment == {
        "word": [
            AlignmentItem("EXCUSE", 0.25, 0.12),
            AlignmentItem("ME", 0.37, 0.14),
            AlignmentItem("DON'T", 0.71, 0.09),
        ]
    }
    assert with_words(SupervisionSegment("u", "u", 0.0, 0.8), []).alignment is None


@pytest.mark.parametrize("line", ["37 50 ME", "30 50 -9 ME", "50 40 -9 ME", "a 50 -9 ME"])
def test_lines_that_do_not_parse(tmp_path: Path, line: str) -> None:
    (tmp_path / "u.wdseg").write_text(TEXT.replace("37     50     -99999 ME", line))
    words, (problem,) = read_wdseg(tmp_path / "u.wdseg")
    assert [one.word for one in words] == ["EXCUSE", "DON'T"]
    assert (problem.kind, problem.line) == ("word segment does not parse", 4)
