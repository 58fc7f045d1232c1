"""Segments with times for other programs: SubRip subtitles, and TextGrid of Praat (which ELAN reads, too)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sertools.prediction.apply import Prediction


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with what was recognised in it.

    Attributes:
        recording: name of its source.
        start, end: in seconds.
        total: seconds of the recording.
        prediction: of the stretch.
    """

    recording: str
    start: float
    end: float
    total: float
    prediction: Prediction

    @property
    def label(self) -> str:
        """The most probable class, or the number."""
        return self.prediction.label

    @property
    def sure(self) -> str:
        """The probability of the label, in percent; empty of a number."""
        return f"{max(self.prediction.probabilities):.0%}" if self.prediction.classes else ""

    @property
    def words(self) -> str:
        """As recognised; empty where no words are."""
        return " ".join(self.prediction.words or ())


def to_srt(segments: Sequence[Segment]) -> str:
    """SubRip: label, its probability, and words, for a player."""
    blocks = []
    for number, one in enumerate(segments, 1):
        text = f"[{f'{one.label} {one.sure}'.strip()}]" + (f" {one.words}" if one.words else "")
        blocks.append(f"{number}\n{_srt_time(one.start)} --> {_srt_time(one.end)}\n{text}\n")
    return "\n".join(blocks)


def _srt_time(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def to_textgrid(segments: Sequence[Segment]) -> str:
    """A TextGrid in Praat's long format, UTF-8: a tier of what is predicted, one of its probabilities,
    and one of words.

    Args:
        segments: at least one, of one recording, in order, not overlapping.
    """
    duration = segments[0].total
    target = segments[0].prediction.target
    tiers: list[tuple[str, Callable[[Segment], str]]] = [(target.name, lambda one: one.label)]
    if target.classes:
        tiers.append(("probability", lambda one: f"{max(one.prediction.probabilities):.3f}"))
    if any(one.prediction.words is not None for one in segments):
        tiers.append(("words", lambda one: one.words))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_number(duration)}",
             "tiers? <exists>", f"size = {len(tiers)}", "item []:"]  # fmt: skip
    for number, (name, text) in enumerate(tiers, 1):
        intervals = list(_filled(segments, text, duration))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"',
                  "        xmin = 0", f"        xmax = {_number(duration)}",
                  f"        intervals: size = {len(intervals)}"]  # fmt: skip
        for count, (start, end, label) in enumerate(intervals, 1):
            quoted = label.replace('"', '""')
            lines += [f"        intervals [{count}]:", f"            xmin = {_number(start)}",
                      f"            xmax = {_number(end)}", f'            text = "{quoted}"']  # fmt: skip
    return "\n".join(lines) + "\n"


def _filled(
    segments: Sequence[Segment], text: Callable[[Segment], str], duration: float
) -> Iterator[tuple[float, float, str]]:
    """Intervals without gaps, as Praat wants them."""
    now = 0.0
    for one in segments:
        if one.start - now > 1e-6:
            yield now, one.start, ""
        yield max(one.start, now), one.end, text(one)
        now = one.end
    if duration - now > 1e-6:
        yield now, duration, ""


def _number(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
