"""The command ``sertools``: look at a corpus, use what was trained, see how far a recipe is.

Making things is what the programs in local/ are for.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sertools import __version__
from sertools.errors import UserError, explain_os_error, names_can_be_printed

# heavy modules are imported where they are used: --help and mistakes in the command line answer at once
from sertools.helptext import Formatter

RAW = Formatter

EXPORT = """Write one run of an experiment (S1, Cnn14) as a network that needs nothing of sertools.

    sertools export exp/pooled_four emotion.pt
    sertools export --member fold_Session1/seed_2 exp/pooled_four emotion.onnx

OUT.pt is TorchScript, OUT.onnx is ONNX.  Inputs: features (1, T, F) float32, MFCC; lengths (1,) int64;
ivectors (1, D) float32, for networks that take them.  Output: probabilities (1, C).  OUT.json beside it has
classes, MFCC options and where it comes from.  What was written is run on utterances of several lengths
beside the system itself, and is not kept if a probability differs by more than 1e-5.
"""


def add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools predict``."""
    from sertools.commands import predict as prediction

    command = commands.add_parser(
        "predict", description=prediction.DOC, help="class probabilities of speech", formatter_class=RAW,
        allow_abbrev=False,
    )  # fmt: skip
    prediction.add_arguments(command)
    command.set_defaults(main=prediction.predict)


def add_new(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools new``."""
    from sertools.commands import new

    command = commands.add_parser(
        "new", description=new.DOC, help="recipes in a folder of one's own", formatter_class=RAW, allow_abbrev=False
    )
    new.add_arguments(command)
    command.set_defaults(main=new.new)


def add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools results``."""
    from sertools.commands import results

    command = commands.add_parser(
        "results", description=results.DOC, help="a page of all experiments", formatter_class=RAW, allow_abbrev=False
    )
    results.add_arguments(command)
    command.set_defaults(main=results.results)


def add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools serve``."""
    from sertools.commands import serve

    command = commands.add_parser(
        "serve", description=serve.DOC, help="a page on this machine", formatter_class=RAW, allow_abbrev=False
    )
    serve.add_arguments(command)
    command.set_defaults(main=serve.serve)


def add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools sweep``."""
    from sertools.commands import sweep

    command = commands.add_parser(
        "sweep", description=sweep.DOC, help="settings searched on dev parts", formatter_class=RAW, allow_abbrev=False
    )
    sweep.add_arguments(command)
    command.set_defaults(main=sweep.sweep)


def add_completion(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools completion``."""
    from sertools.commands import completion

    command = commands.add_parser(
        "completion", description=completion.DOC, help="of commands and options in the shell", formatter_class=RAW,
        allow_abbrev=False,
    )  # fmt: skip
    completion.add_arguments(command)

    def show(options: argparse.Namespace) -> int:
        print(completion.script(options.shell, commands), end="")
        return 0

    command.set_defaults(main=show)


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools export``."""
    command = commands.add_parser(
        "export", description=EXPORT, help="a network as TorchScript or ONNX", formatter_class=RAW, allow_abbrev=False
    )
    command.add_argument("experiment", type=Path, help="folder of an experiment, or of one run of it")
    command.add_argument("output", type=Path, help="OUT.pt or OUT.onnx")
    command.add_argument("--member", metavar="RUN", help="such as fold_Session1/seed_1; default: the first with seed 1")
    command.add_argument("--uncalibrated", action="store_true", help="without temperature")
    command.add_argument("--unchecked", action="store_true", help="write ONNX where onnxruntime is not there to run it")
    command.set_defaults(main=export)


def export(options: argparse.Namespace) -> int:
    """``sertools export``."""
    from sertools.prediction.export import export_member

    exported = export_member(
        options.experiment, options.output, options.member, calibrated=not options.uncalibrated,
        check=not options.unchecked,
    )  # fmt: skip
    checked = "not run" if exported.difference is None else f"differs by at most {exported.difference:.1e}"
    print(f"{options.output} ({checked}), {exported.description}: {exported.member}")
    return 0


def add_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools status``."""
    from sertools.status import command as status

    command = commands.add_parser(
        "status", description=status.DOC, help="how far a recipe is", formatter_class=RAW, allow_abbrev=False
    )
    status.add_arguments(command)
    command.set_defaults(main=status.show)


def add_inspect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools inspect``."""
    from sertools.inspection import command as inspection

    command = commands.add_parser(
        "inspect", description=inspection.DOC, help="a look at a corpus", formatter_class=RAW, allow_abbrev=False
    )
    inspection.add_arguments(command)
    command.set_defaults(main=inspection.show)


def add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools check``."""
    from sertools.checking import command as checking

    command = commands.add_parser(
        "check", description=checking.DOC, help="whether folds and predictions keep the contract", formatter_class=RAW,
        allow_abbrev=False,
    )  # fmt: skip
    checking.add_arguments(command)
    command.set_defaults(main=checking.show)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    names_can_be_printed()
    parser = argparse.ArgumentParser(prog="sertools", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"sertools {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_new(commands)
    add_inspect(commands)
    add_predict(commands)
    add_export(commands)
    add_serve(commands)
    add_sweep(commands)
    add_results(commands)
    add_check(commands)
    add_status(commands)
    add_completion(commands)
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
