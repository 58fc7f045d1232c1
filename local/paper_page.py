#!/usr/bin/env python3
"""The page of a paper: its tables and figures re-made, each number beside the published one.

    paper_page.py --paper ../common/papers/s1.yaml --output exp/paper_s1 --comparison paper=exp/comparison_paper
    paper_page.py --paper ../common/papers/s4.yaml --output exp/paper_s4 \\
        --comparison s4=exp/comparison_s4_s4 s4_audio@s4=exp/s4_audio_s4 s4_audio@improvised=exp/s4_audio_improvised

Takes comparisons (PROTOCOL=DIR of compare.py, all systems of it) and scored experiments
(SYSTEM@PROTOCOL=DIR of score.py, for word errors and learning curves besides).  What the paper has and was not
run here is a dash.  On another corpus than the paper's, the published numbers are grey.
"""

import logging
from pathlib import Path

import sertools
from cli import parser, run
from sertools.config import load_config
from sertools.errors import UserError
from sertools.evaluation.paper.figures import CURVES
from sertools.evaluation.paper.found import Found
from sertools.evaluation.paper.making import PAGE, TEXT, knows, make_page
from sertools.evaluation.paper.published import Paper
from sertools.files import only_writer
from sertools.provenance import Stamp, why_stale, write_stamp


def main() -> None:
    """Parse the command line and make the page."""
    arguments = parser(__doc__)
    arguments.add_argument("systems", nargs="*", metavar="SYSTEM@PROTOCOL=DIR", help="scored experiments")
    arguments.add_argument("--paper", type=Path, required=True, help="what was published: egs/common/papers/*.yaml")
    arguments.add_argument("--comparison", action="append", default=[], metavar="PROTOCOL=DIR", help="may be repeated")
    arguments.add_argument("--curve", type=Path, action="append", default=[], metavar="DIR", help="of plot_curve.py")
    arguments.add_argument(
        "--if-any", action="store_true", help="no error, and no page, if none of the paper's systems is among these"
    )
    arguments.add_argument("--command", default="", metavar="TEXT", help="what was run, shown on the page")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the page")
    options = arguments.parse_args()

    paper = load_config(Paper, options.paper)
    found, watched = Found(), {name for figure in paper.figures if figure.kind == CURVES for name in figure.systems}
    for text in options.systems:
        name, directory = pair(text)
        system, _, protocol = name.partition("@")
        found.add_experiment(protocol, system, directory, curve=system in watched)
    for text in options.comparison:
        found.add_comparison(*pair(text))
    for directory in options.curve:
        found.add_curves(directory)
    if options.if_any and not knows(paper, found):
        logging.info("no page of %s: none of its systems is among these", paper.paper)
        return
    inputs: dict[str, Path | str] = {"paper": options.paper} | {str(path): path for path in found.files}
    stamp = Stamp.of({"command": options.command, "sertools": sertools.__version__, "page": 6}, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("making %s: %s", options.output, reason)
            write_stamp(options.output, stamp, make_page(paper, found, options.output, options.command))
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the page: %s", options.output / PAGE)


def pair(text: str) -> tuple[str, Path]:
    """``NAME=DIR``.

    Raises:
        UserError: it is something else.
    """
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UserError(f"'{text}': NAME=DIR is expected")
    return name, Path(path)


if __name__ == "__main__":
    run(main)
