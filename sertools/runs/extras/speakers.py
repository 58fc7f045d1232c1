"""Whether i-vectors carry the speaker: what local/identify_speakers.py found, with its plot."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.files import read_json, require
from sertools.runs.extras.extra import Extra
from sertools.runs.predictions import Predictions

SPEAKERS, SPEAKERS_PLOT, MAKES_SPEAKERS = "speakers.json", "speakers.png", "local/identify_speakers.py"
SHARES = ("speaker", "chance", "gender")


class Speakers:
    """The numbers of speakers.json in a sentence, and the plot; given by a folder, not left by runs."""

    name = "speakers"
    files: tuple[str, ...] = ()
    given = (SPEAKERS, SPEAKERS_PLOT)
    made_by = MAKES_SPEAKERS

    def read(self, folders: Mapping[str, Path], predictions: Predictions, given: Path | None) -> Extra | None:
        """See :class:`~sertools.runs.extras.extra.ExtraKind`."""
        if given is None:
            return None
        values = _checked(read_json(given / SPEAKERS, MAKES_SPEAKERS), given / SPEAKERS)
        share = {key: f"{100 * values[key]:.1f} %" for key in (*SHARES, "speaker_unseen") if _is_known(values[key])}
        unseen = share.get("speaker_unseen")
        text = (
            f"One i-vector of each of {values['utterances']} utterances. The nearest of the others is of the same "
            f"speaker for {share['speaker']} (chance {share['chance']})"
        )
        if unseen:
            text += f", and for {unseen} of those whose speakers the extractor was not trained on"
        text += f"; the nearest of another speaker is of the same gender for {share.get('gender', '–')}."
        return Extra(
            title="I-vectors",
            caption=text,
            values=values,
            pictures={"speakers": require(given / SPEAKERS_PLOT, MAKES_SPEAKERS).read_bytes()},
            words={"speakers": "Utterance i-vectors in two dimensions, coloured by speaker and by gender"},
        )


def _is_known(value: float | None) -> bool:
    return value is not None and not isnan(value)


def _checked(values: Any, path: Path) -> dict[str, Any]:
    """As read, or our own sentence."""

    def share(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value is None or (number and (isnan(value) or 0 <= value <= 1))

    fits = isinstance(values, dict) and isinstance(values.get("utterances"), int)
    fits = fits and all(name in values and share(values[name]) for name in (*SHARES, "speaker_unseen"))
    if not fits or not _is_known(values["speaker"]) or not _is_known(values["chance"]):
        raise UserError(f"{path} does not hold what {MAKES_SPEAKERS} writes; run it again")
    return dict(values)
