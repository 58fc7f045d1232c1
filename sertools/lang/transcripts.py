"""Where texts come from: the transcripts of cuts, and plain text files."""

from pathlib import Path

from sertools.errors import UserError
from sertools.files import require
from sertools.manifests import read_cuts
from sertools.reading import open_lines


def read_texts(path: Path | str) -> list[str]:
    """One text an utterance.

    Args:
        path: a manifest of cuts (``.jsonl``, ``.jsonl.gz``) or a text file, a sentence a line
            (``.txt``, ``.txt.gz`` or any other name), perhaps between <s> and </s> as in
            TED-LIUM's ``LM/*.en.gz``.

    Raises:
        UserError: no such file, a cut without a transcript, no text at all.
    """
    path = require(path, "an earlier stage, or given by you")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        try:
            texts = [transcript(cut) for cut in read_cuts(path)]
        except UserError as error:
            # the supervision is named; the file is not
            raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    else:
        with open_lines(path) as stream:
            texts = [text for text in map(_without_marks, stream) if text]
    if not texts:
        raise UserError(f"{path} holds no text")
    return texts


def transcript(cut: object) -> str:
    """The text of a cut, that of its supervisions in order of time.

    Raises:
        UserError: a supervision has no text.
    """
    parts = []
    for segment in sorted(cut.supervisions, key=lambda one: one.start):  # type: ignore[attr-defined]
        if segment.text is None:
            raise UserError(f"the supervision {segment.id} has no transcript; leave it out of the manifest")
        parts.append(segment.text)
    return " ".join(parts)


def _without_marks(line: str) -> str:
    return line.strip().removeprefix("<s>").removesuffix("</s>").strip()
