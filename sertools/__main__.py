"""Look at a corpus, use what was trained, see how far a recipe is.

    sertools predict speech.wav
    sertools COMMAND --help

What makes features, folds and models are the programs in local/, which recipes (run.sh) call.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from sertools import __version__
from sertools.checking import command as checking
from sertools.commands import completion, export, new, predict, results, serve, sweep
from sertools.errors import UserError, drop_warnings_about_tools, explain_os_error, names_can_be_printed
from sertools.helptext import Formatter
from sertools.inspection import command as inspection
from sertools.status import command as status

COMMANDS = (
    ("new", new, new.new, "lay out recipes in a folder of your own"),
    ("inspect", inspection, inspection.show, "look at a corpus before anything is trained"),
    ("predict", predict, predict.predict, "recognise emotion in recordings"),
    ("export", export, export.export, "write a network as TorchScript or ONNX"),
    ("serve", serve, serve.serve, "recognise or label speech in a browser"),
    ("sweep", sweep, sweep.sweep, "search for settings on dev parts"),
    ("results", results, results.results, "make a page of all experiments in a folder"),
    ("check", checking, checking.show, "check folds and predictions against the contract"),
    ("status", status, status.show, "show how far a recipe has got"),
    ("completion", completion, completion.show, "print completion for bash or zsh"),
)
"""Name, module with ``DOC`` and ``add_arguments``, what runs it, and help; what is heavy is imported when it runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    names_can_be_printed()
    drop_warnings_about_tools()
    parser = argparse.ArgumentParser(
        prog="sertools", description=__doc__, formatter_class=Formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sertools {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, module, run, told in COMMANDS:
        command = commands.add_parser(
            name, description=module.DOC, help=told, formatter_class=Formatter, allow_abbrev=False
        )
        module.add_arguments(command)
        command.set_defaults(main=run, commands=commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.main(options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # the reader of our output is gone (head, say); nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        print(f"error: {explained}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
