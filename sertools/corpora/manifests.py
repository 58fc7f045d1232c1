"""Writing what a corpus module found as lhotse manifests, with a report and a stamp."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lhotse import CutSet, MonoCut, Recording, RecordingSet, SupervisionSegment, SupervisionSet, validate
from lhotse.qa import validate_recordings_and_supervisions

from sertools.corpora.found import Found
from sertools.corpora.problems import REPORT, judge, write_report
from sertools.corpora.spoken import leave_out_what_was_not_said
from sertools.errors import UserError
from sertools.files import only_writer, read_json, replacing, write_json
from sertools.provenance import Stamp, begin, why_stale, write_stamp

log = logging.getLogger(__name__)

COUNTS = "counts.json"
CHECKS = 1
"""Version of what is checked here, of every corpus; part of the stamp."""


@dataclass(frozen=True)
class Prepared:
    """The result of preparing a corpus.

    Attributes:
        output_dir: where the manifests are.
        why: why they were made now; None if they were up to date.
        counts: "<split> recordings", "<split> utterances", "<split> seconds", "problems".
        notes: remarks, as in the report.
    """

    output_dir: Path
    why: str | None
    counts: dict[str, float]
    notes: tuple[str, ...]


def prepare(name: str, find: Callable[[], Found], output_dir: Path | str, stamp: Stamp, skip_bad: bool) -> Prepared:
    """Find, judge, write; or say that all is up to date.

    Args:
        name: the corpus in file names ("iemocap").
        find: reads the corpus; called only if the output has to be made.
        output_dir: for the manifests, ``problems.txt``, ``counts.json`` and ``stamp.json``.
        stamp: what the output depends on.
        skip_bad: go on without what is bad.

    Raises:
        UserError: the corpus has problems and not ``skip_bad``, or nothing of it is usable.
    """
    output_dir = Path(output_dir)
    stamp = replace(stamp, config=stamp.config | {"checks": CHECKS})
    with only_writer(output_dir):
        why = why_stale(output_dir, stamp)
        if why is not None:
            # without a stamp nobody takes the manifests of an older corpus for these
            begin(output_dir)
            found = find()
            leave_out_what_was_not_said(found)
            write_report(output_dir / REPORT, found.problems, found.notes)
            judge(found.problems, output_dir / REPORT, skip_bad)
            for note in found.notes:
                log.info("%s", note)
            counts: dict[str, float] = {"problems": len(found.problems)}
            files = [REPORT, COUNTS]
            for split, (recordings, supervisions) in sorted(found.splits.items()):
                if not supervisions:
                    raise UserError(f"no usable utterance of {name} is left in '{split}'; see {output_dir / REPORT}")
                files += write(name, split, recordings, supervisions, output_dir)
                counts[f"{split} recordings"] = len(recordings)
                counts[f"{split} utterances"] = len(supervisions)
                counts[f"{split} seconds"] = round(sum(segment.duration for segment in supervisions), 3)
            write_json(output_dir / COUNTS, {"counts": counts, "notes": found.notes})
            write_stamp(output_dir, stamp, files)
        summary = read_json(output_dir / COUNTS, "local/prepare_corpus.py")
    return Prepared(output_dir, why, summary["counts"], tuple(summary["notes"]))


def write(
    name: str,
    split: str,
    recordings: Sequence[Recording],
    supervisions: Sequence[SupervisionSegment],
    output_dir: Path | str,
) -> list[str]:
    """Write recordings, supervisions and one cut a supervision, validated and sorted by id.

    The id of a cut is the id of its supervision, which starts at 0 in it.

    Returns:
        the names of the three files, ``<name>_{recordings,supervisions,cuts}_<split>.jsonl.gz``.
    """
    recordings = sorted(recordings, key=lambda recording: recording.id)
    supervisions = sorted(supervisions, key=lambda segment: segment.id)
    recording_set = RecordingSet.from_recordings(recordings)
    supervision_set = SupervisionSet.from_segments(supervisions)
    validate_recordings_and_supervisions(recording_set, supervision_set)
    by_id = {recording.id: recording for recording in recordings}
    cuts = CutSet.from_cuts(_cut(by_id[segment.recording_id], segment) for segment in supervisions)
    validate(cuts)
    manifests = {"recordings": recording_set, "supervisions": supervision_set, "cuts": cuts}
    files = []
    for kind, manifest in manifests.items():
        files.append(f"{name}_{kind}_{split}.jsonl.gz")
        with replacing(Path(output_dir) / files[-1]) as temporary:
            manifest.to_file(temporary)
    return files


def differences(what: str, published: Mapping[str, float], actual: Mapping[str, float]) -> list[str]:
    """Lines "counts differ: ..." for every count that is not the published one."""
    return [
        f"counts differ: {what}, {name}: {actual.get(name, 0)}, published {published.get(name, 0)}"
        for name in [*published, *sorted(set(actual) - set(published))]
        if actual.get(name, 0) != published.get(name, 0)
    ]


def _cut(recording: Recording, segment: SupervisionSegment) -> MonoCut:
    return MonoCut(
        id=segment.id,
        start=segment.start,
        duration=segment.duration,
        channel=segment.channel,
        recording=recording,
        supervisions=[segment.with_offset(-segment.start)],
    )
