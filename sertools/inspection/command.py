"""``sertools inspect``: a look at a corpus."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from sertools.helptext import at_least_one

DOC = """What a corpus has, what is odd about it, and what could be shown with it.

    sertools inspect recordings/
    sertools inspect labels.csv --audio recordings/ --page inspection.html
    sertools inspect recordings/ --set 'pattern=(?P<label>[^/]+)/(?P<speaker>[^_]+)_'
    sertools inspect data/manifests/ravdess_cuts_all.jsonl.gz --page inspection.html

Takes a folder of recordings, a table of them as egs/own does (--config and --set are those of its
conf/table.yaml), or a Lhotse manifest.  Reads all audio; changes nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sertools inspect``."""
    parser.add_argument("source", type=Path, help="a folder, a table or a manifest")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="what a table's paths are relative to")
    parser.add_argument("--config", type=Path, metavar="FILE", help="how a table is read (conf/table.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="one setting of it")  # fmt: skip
    parser.add_argument("--page", type=Path, metavar="FILE", help="write a page with plots (HTML)")
    parser.add_argument("--jobs", type=at_least_one, metavar="N", help="processes (default: one a processor)")


def show(options: argparse.Namespace) -> int:
    """Inspect and print; returns the exit code: 1 if something cannot be read.

    Raises:
        UserError: see :func:`sertools.inspection.sources.cuts_of`.
    """
    from sertools.config import load_config
    from sertools.corpora.table.config import TableConfig
    from sertools.files import write_text
    from sertools.inspection.findings import find
    from sertools.inspection.measure import measure_all, usable_processors
    from sertools.inspection.output import to_html, to_text
    from sertools.inspection.plots import draw
    from sertools.inspection.sources import cuts_of

    config = load_config(TableConfig, options.config, options.overrides)
    cuts, problems, notes = cuts_of(options.source, options.audio, config)
    measured = measure_all(cuts, options.jobs or usable_processors(), _progress())
    findings = find(measured)
    title = options.source.resolve().name.removesuffix(".gz").removesuffix(".jsonl").removesuffix("_cuts_all")
    print(to_text(title, findings, problems, notes), end="")
    if options.page is not None:
        text = to_html(title, findings, measured, problems, notes, draw(findings, measured))
        write_text(options.page, text)
        print(f"\nthe page with plots: {options.page}")
    return 1 if problems or any(one.error for one in measured) else 0


def _progress() -> Callable[[int, int], None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    from tqdm import tqdm

    bar = tqdm(desc="listening", unit="utterances", leave=False)

    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return move
