#!/usr/bin/env python3
"""Make a miniature corpus of synthetic speech (espeak-ng) in the layout of a real one.

With it every recipe runs without the real corpus.  Results on it mean nothing beyond that.

    local/make_demo_corpus.py iemocap --config conf/demo.yaml data/demo/iemocap
    local/make_demo_corpus.py librispeech --set train_clean=4 data/demo/librispeech
    local/make_demo_corpus.py tedlium2 --set train_talks=4 data/demo/tedlium2

Settings of iemocap: improvised, scripted (dialogues for each session and side), turns, difficulty, seed.
Settings of librispeech: {train,dev,test}_{clean,other} (speakers), sentences, difficulty, seed.
Settings of msp_improv: turns (of each of twelve speakers), difficulty, seed.
Settings of msp_podcast: turns (of each of sixteen speakers), release, difficulty, seed.
Settings of tedlium2: train_talks, dev_talks, test_talks, sentences, lm_sentences, difficulty, seed.
"""

import logging
from pathlib import Path

from cli import add_config, at_least_one, parser, progress_bar, run
from sertools.config import load_config
from sertools.corpora.demo.making import MARK, Made
from sertools.corpora.registry import CORPORA, find_corpus, find_demo


def main() -> None:
    """Parse, make, say where."""
    arguments = parser(__doc__)
    demos = [name for name in CORPORA if find_corpus(name).demo]
    arguments.add_argument("corpus", choices=demos, help="the corpus to imitate")
    arguments.add_argument("out_dir", type=Path, help="gets the release's folder, such as IEMOCAP_full_release")
    arguments.add_argument(
        "--jobs", type=at_least_one, default=2, help="processes (default %(default)s); same result for any"
    )
    add_config(arguments)
    options = arguments.parse_args()

    demo = find_demo(options.corpus)
    config = load_config(demo.config, options.config, options.overrides)
    with progress_bar(options.corpus, "recordings") as progress:
        made: Made = demo.make(config, options.out_dir, jobs=options.jobs, progress=progress)
    if made.why is None:
        logging.info("%s is up to date", options.out_dir)
    else:
        minutes = made.seconds / 60
        logging.info("%s: %d utterances, %.1f minutes (see %s)", options.out_dir, made.utterances, minutes, MARK)


if __name__ == "__main__":
    run(main)
