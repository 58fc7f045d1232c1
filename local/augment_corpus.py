#!/usr/bin/env python3
"""Copies of every utterance of a corpus as other voices, rooms and channels: more to train on.

    augment_corpus.py --copy speed=0.9 --copy speed=1.1 --copy noise=5..20 \\
        data/manifests/ravdess_cuts_all.jsonl.gz data/augmented/manifests
    augment_corpus.py --copy reverberation=0.2..0.8,band=300-3400 --jobs 8 CUTS OUT

A --copy is a copy of each utterance; several changes with commas between are made one after the other, and of LOW..HIGH
each utterance has a number of its own.  Writes OUT/NAME_{recordings,supervisions,cuts}_all.jsonl.gz with the utterances
and their copies, and the copies' audio (FLAC) to OUT/audio.  Copies train where a fold's configuration says `copies:
all`, or names them, wherever what they are copies of trains; they are never dev or test.
"""

import argparse
import logging
import os
import shutil
from pathlib import Path

from cli import at_least_one, parser, progress_bar, run

# cli is first: it explains imports that fail
# isort: split

from lhotse import RecordingSet, SupervisionSet

from sertools.augmentation.copying import Copy, make_copies, read_copy
from sertools.augmentation.fields import COPY_OF
from sertools.augmentation.registry import AUGMENTATIONS
from sertools.errors import UserError
from sertools.files import content_hash, only_writer, replacing
from sertools.helptext import seed
from sertools.manifests import load_cuts, write_cuts
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp

AUDIO = "audio"
CUTS = "_cuts_"
MANIFEST = ".jsonl.gz"


def copy(text: str) -> Copy:
    """``NAME=VALUE[,NAME=VALUE...]``."""
    try:
        return read_copy(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    arguments = parser(__doc__)
    known = "; ".join(f"{one.name}={one.example}: {one.about}" for one in AUGMENTATIONS.values())
    arguments.add_argument("--copy", type=copy, action="append", required=True, metavar="NAME=VALUE", help=known)
    arguments.add_argument("--seed", type=seed, default=0, help="of what is drawn (default: 0)")
    arguments.add_argument(
        "--jobs", type=at_least_one, default=os.cpu_count() or 2, help="processes (default: %(default)s)"
    )
    arguments.add_argument("cuts", type=Path, metavar="CUTS", help="NAME_cuts_all.jsonl.gz, with labels")
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder for manifests and audio")
    options = arguments.parse_args()
    names = [one.name for one in options.copy]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"--copy {twice} is given twice, and both would be the same; leave one out")
    require_whole(options.cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    files = {kind: manifest_name(options.cuts, kind) for kind in ("recordings", "supervisions", "cuts")}
    if options.cuts.resolve().parent == options.out.resolve():
        raise UserError(f"{options.out} has the manifest that is copied; give another folder as OUT")

    stamp = Stamp({"copies": names, "seed": options.seed}, {"cuts": content_hash(options.cuts)})
    with only_writer(options.out):
        reason = why_stale(options.out, stamp)
        # what was copied by other settings lies in another folder
        audio = options.out / AUDIO / stamp.key[:12]
        if reason is None and audio.is_dir():
            logging.info("%s is up to date", options.out)
            return
        logging.info("making %s: %s", options.out, reason or f"{audio} is missing")
        cuts = list(load_cuts(options.cuts))
        if any(COPY_OF in (one.custom or {}) for cut in cuts for one in cut.supervisions):
            raise UserError(f"{options.cuts} has copies already; give the manifest without them")
        begin(options.out)
        with progress_bar("copying", "utterances") as progress:
            made = make_copies(cuts, options.copy, audio, seed=options.seed, jobs=options.jobs, progress=progress)
        every = [*cuts, *(one.cut for one in made)]
        recordings = {cut.recording.id: cut.recording for cut in every}
        sets = {
            "recordings": RecordingSet.from_recordings(recordings.values()),
            "supervisions": SupervisionSet.from_segments(s.with_offset(c.start) for c in every for s in c.supervisions),
        }
        for kind, manifest in sets.items():
            with replacing(options.out / files[kind]) as temporary:
                manifest.to_file(temporary)
        write_cuts(every, options.out / files["cuts"])
        write_stamp(options.out, stamp, list(files.values()))
        for other in (options.out / AUDIO).iterdir():
            if other != audio:
                shutil.rmtree(other)
    hours = sum(one.cut.duration for one in made) / 3600
    logging.info("%s: %d utterances and %d copies (%.2f h)", options.out / files["cuts"], len(cuts), len(made), hours)
    if softer := sum(one.softer for one in made):
        logging.info("%d copies were made softer, for they would have clipped", softer)


def manifest_name(cuts: Path, kind: str) -> str:
    """What another manifest of the same corpus is called."""
    name, there, split = cuts.name.rpartition(CUTS)
    if not there or not name or not split.endswith(MANIFEST):
        raise UserError(f"{cuts} is not called NAME_cuts_all.jsonl.gz, so nobody knows the corpus's name; rename it")
    return f"{name}_{kind}_{split}"


if __name__ == "__main__":
    run(main)
