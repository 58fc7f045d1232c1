#!/usr/bin/env python3
"""Level and noise floor of every utterance, for the table of where a system errs.

    measure_audio.py --jobs 2 data/manifests/ravdess_cuts_all.jsonl.gz data/audio
    score.py --extra groups=data/audio exp/my_experiment

Writes OUTPUT/fields.csv: level_db (RMS), noise_db (tenth percentile of frames of 20 ms), both in dB relative to full
scale, and above_noise_db, their difference.  Any column may be added to that table by hand.
"""

import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from cli import at_least_one, parser, run
from sertools.audio.cuts import load_cut
from sertools.audio.loudness import level_db, noise_db
from sertools.files import content_hash, only_writer
from sertools.manifests import read_cuts
from sertools.provenance import Stamp, begin, require_whole, why_stale, write_stamp
from sertools.runs.fields import FIELDS, write_fields


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--jobs", type=at_least_one, default=1, help="processes (default: 1)")
    arguments.add_argument("cuts", type=Path, help="cut manifest with audio")
    arguments.add_argument("output", type=Path, help="folder for the table")
    options = arguments.parse_args()
    require_whole(options.cuts, "the preparation of the corpus (local/prepare_corpus.py)")
    stamp = Stamp({"version": 1}, {"cuts": content_hash(options.cuts)})
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
            return
        cuts = list(read_cuts(options.cuts))
        with ProcessPoolExecutor(options.jobs) as pool:
            found = dict(pool.map(measure, cuts, chunksize=32))
        begin(options.output)
        write_fields(options.output / FIELDS, found)
        write_stamp(options.output, stamp, [FIELDS])
    logging.info("%s: %d utterances", options.output / FIELDS, len(found))


def measure(cut: Any) -> tuple[str, dict[str, str]]:
    """Name of an utterance, and its fields."""
    samples = load_cut(cut)[0]
    level, noise = level_db(samples), noise_db(samples, cut.sampling_rate)
    return cut.id, {"level_db": f"{level:.2f}", "noise_db": f"{noise:.2f}", "above_noise_db": f"{level - noise:.2f}"}


if __name__ == "__main__":
    run(main)
