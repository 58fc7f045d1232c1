"""``sertools status``: how far a recipe is."""

import argparse
import json
import sys
import time
from pathlib import Path

from sertools.errors import UserError
from sertools.status.report import recipe_status
from sertools.status.table import command_line, to_markdown, to_plain, to_text

SHOWN = 3
DOC = """How far a recipe is: which stages are done, running, failed, killed or perhaps stale, since when, what is left.

    sertools status egs/iemocap
    sertools status --watch 10 egs/iemocap        # again every 10 seconds
    sertools status --times egs/iemocap           # seconds of each stage of the last complete run, as Markdown
    sertools status --json egs/iemocap

Runs of different scripts (run.sh, run_s4.sh) or options are shown apart, the newest first.  Read from
exp/stages.jsonl, which they write, and from the logs of the jobs; nothing is changed.

done: it has ended well.  perhaps stale: it has, but a file that it reads was written since; run again, the
programs compare contents and keep what did not change.  failed: with the end of the log.  interrupted: by
Ctrl-C.  stopped: by TERM or HUP.  killed: its process is gone.  waiting: a job of --submit.  unknown: it began
on another machine.  left out: the script has passed over it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sertools status``."""
    parser.add_argument("recipe", nargs="?", type=Path, default=Path(), help="folder of a recipe (default: this one)")
    parser.add_argument("--all", action="store_true", help=f"all sets of options, not only the newest {SHOWN}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--times", action="store_true", help="print seconds and share of each stage, as Markdown")
    parser.add_argument("--watch", type=_seconds, metavar="SECONDS", help="print it again and again, until Ctrl-C")


def show(options: argparse.Namespace) -> int:
    """Print what the options ask for; returns the exit code.

    Raises:
        UserError: the folder is no recipe, or options that exclude each other are given.
    """
    if sum([options.json, options.times, options.watch is not None]) > 1:
        raise UserError("--json, --times and --watch exclude each other")
    while True:
        text = _text(options)
        if options.watch is None:
            print(text, flush=True)
            return 0
        # home, and wipe what was there
        clear = "\x1b[H\x1b[2J" if sys.stdout.isatty() else ""
        print(f"{clear}{text}", flush=True)
        time.sleep(options.watch)


def _text(options: argparse.Namespace) -> str:
    sets, unreadable = recipe_status(options.recipe)
    shown = sets if options.all or options.json else sets[:SHOWN]
    if options.json:
        plain = {
            "recipe": str(options.recipe),
            "unreadable_events": unreadable,
            "runs": [to_plain(one) for one in sets],
        }
        return json.dumps(plain, indent=2, ensure_ascii=False)
    if options.times:
        complete = [one for one in shown if one.times]
        blocks = [f"{command_line(one.script, one.options)}\n\n{to_markdown(one)}" for one in complete]
        return "\n\n".join(blocks) or "no run from the first stage to the last has ended well"
    blocks = [to_text(one, time.time()) for one in shown]
    if not sets:
        blocks.append(f"{options.recipe}: nothing has run here yet (exp/stages.jsonl says which have)")
    if len(sets) > len(shown):
        blocks.append(f"{len(sets) - len(shown)} older sets of options: --all")
    if unreadable:
        blocks.append(f"note: {unreadable} lines of exp/stages.jsonl cannot be read: cut, when the disk was full or so")
    return "\n\n".join(blocks)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of seconds is needed, not '{text}'")
    return value
