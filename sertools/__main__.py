"""The command ``sertools``: look at a corpus, use what was trained, see how far a recipe is.

Making things is what the programs in local/ are for.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sertools.errors import UserError, explain_os_error, names_can_be_printed

# heavy modules are imported where they are used: --help and mistakes in the command line answer at once
from sertools.helptext import Formatter

if TYPE_CHECKING:
    from sertools.prediction.apply import EmotionModel, Failure, Prediction

RAW = Formatter

PREDICT = """Class probabilities of speech, by a trained emotion experiment.

    sertools predict --experiment exp/pooled_four speech.wav more.flac folder/
    sertools predict --experiment exp/pooled_four --plot plots --course --json out.json long.mp3
    sox in.wav -t flac - | sertools predict --experiment exp/pooled_four -
    sertools predict --experiment exp/pooled_speaker_four --one-speaker recordings_of_one_person/

Reads what libsndfile reads (wav, flac, mp3, ogg, ...), at any rate (resampled to the system's), mono or
not (the mean of the channels, or --channel); folders (all audio files in and below them, sorted); Lhotse
manifests of recordings or cuts (.jsonl, .jsonl.gz); - for a file on standard input.

The runs of the experiment (--members) each give probabilities, calibrated by the temperature that fits
the run's own dev part, and these are averaged.  By default they are those of all folds with seed 1.
Of a long recording the probabilities are those of all of it; --course and --plot show how they go:
what the system says of windows that slide over the recording (0.5 s for systems that classify frames, at
every output frame; 1 s every 0.1 s for those that pool an utterance).

Systems trained with data.normalise: speaker give what they read mean 0 and variance 1 over all the
given utterances of a speaker.  They need speakers: of a manifest's supervisions, or --one-speaker; at
least 2 utterances of each, better 10 or more of several emotions.  I-vectors are of each utterance alone.

An utterance that cannot be used is named with the reason; the others go on, and the exit code is 1.
"""

EXPORT = """Write one run of an experiment as a network that needs nothing of sertools.

    sertools export exp/pooled_four emotion.pt
    sertools export --member fold_Session1/seed_2 exp/pooled_four emotion.onnx

OUT.pt is TorchScript, OUT.onnx is ONNX.  Inputs: features (1, T, F) float32, MFCC; lengths (1,) int64;
ivectors (1, D) float32, for networks that take them.  Output: probabilities (1, C).  OUT.json beside it has
classes, MFCC options and where it comes from.  What was written is run on utterances of several lengths
beside the system itself, and is not kept if a probability differs by more than 1e-5.
"""


def add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of ``sertools predict``."""
    command = commands.add_parser(
        "predict", description=PREDICT, help="class probabilities of speech", formatter_class=RAW, allow_abbrev=False
    )
    command.add_argument("audio", nargs="+", metavar="FILE", help="files, folders, manifests, or -")
    command.add_argument("--experiment", required=True, type=Path, help="folder of an experiment, or of one run of it")
    command.add_argument("--members", default="fold_*/seed_1",
                         help="which runs: a pattern, or all (default: %(default)s)")  # fmt: skip
    command.add_argument("--uncalibrated", action="store_true", help="probabilities as the networks give them")
    command.add_argument("--one-speaker", action="store_true", help="all utterances are of one speaker")
    command.add_argument("--channel", type=int, help="this channel, from 1, not the mean of all")
    command.add_argument("--json", metavar="FILE", help="write everything as JSON; - for stdout, without the table")
    command.add_argument("--csv", metavar="FILE", help="write names, labels and probabilities as CSV; - likewise")
    command.add_argument("--course", action="store_true", help="put the course over time into --json")
    command.add_argument("--plot", type=Path, metavar="DIR", help="draw the course, a PNG for each utterance")
    command.add_argument("--window", type=float, help="of the course, in seconds; 0: single output frames")
    command.add_argument("--step", type=float, help="of the course, in seconds")
    command.add_argument("--device", default="cpu", help="a torch device (default: %(default)s)")
    command.set_defaults(main=predict)


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


def predict(options: argparse.Namespace) -> int:
    """``sertools predict``."""
    if options.course and not options.json:
        raise UserError("--course goes into --json FILE; give that too (or --plot DIR, for a picture)")
    if (options.window is not None or options.step is not None) and not (options.course or options.plot):
        raise UserError("--window and --step are of the course: give --course or --plot")
    if options.json == "-" and options.csv == "-":
        raise UserError("--json - and --csv - cannot both have the standard output")
    from sertools.prediction.apply import CourseConfig, Prediction, load_emotion
    from sertools.prediction.audio import find_sources
    from sertools.prediction.output import table_header, table_line

    try:
        course = CourseConfig(options.window, options.step) if options.course or options.plot else None
    except ValueError as error:
        raise UserError(f"--window, --step: {error}") from error
    speaker = "the one" if options.one_speaker else None
    sources = find_sources(options.audio, sys.stdin.buffer, options.channel, speaker)
    model = load_emotion(options.experiment, options.members, options.device, calibrated=not options.uncalibrated)
    results = model.predict_all(sources, course)
    quiet = "-" in (options.json, options.csv)
    if not quiet:
        print(table_header(model.classes), flush=True)
    predictions: list[Prediction] = []
    failures: list[Failure] = []
    common = _common([source.name for source in sources])
    for found in results:
        if not isinstance(found, Prediction):
            failures.append(found)
            print(f"error: {found.name} {found.reason}", file=sys.stderr)
            continue
        if not quiet:
            print(table_line(found), flush=True)
        if found.words is not None and not quiet:
            print(f"  heard: {' '.join(found.words) or '(nothing)'}", flush=True)
        for note in found.notes:
            print(f"note: {found.name} {note}", file=sys.stderr)
        predictions.append(_drawn(found, options.plot, common, keep=options.course))
    _write(options, model, predictions, failures)
    if failures:
        print(f"error: {len(failures)} of {len(sources)} utterances could not be used", file=sys.stderr)
    return 1 if failures else 0


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


def _common(names: Sequence[str]) -> str:
    """The folder that all utterances are in, so that pictures are called by the rest of their names."""
    paths = [os.path.dirname(name) for name in names]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # absolute and relative ones
        return ""


def _drawn(prediction: "Prediction", directory: Path | None, common: str, keep: bool) -> "Prediction":
    """Draw a prediction; without its course, if that is not wanted any more."""
    from dataclasses import replace

    if directory is not None:
        from sertools.files import replacing
        from sertools.prediction.course_plot import draw_course, plot_path

        with replacing(plot_path(directory, prediction.name, common)) as temporary:
            temporary.write_bytes(draw_course(prediction))
    return prediction if keep else replace(prediction, course=None)


def _write(
    options: argparse.Namespace, model: "EmotionModel", predictions: "list[Prediction]", failures: "list[Failure]"
) -> None:
    import json

    from sertools.files import write_text
    from sertools.prediction.output import to_csv, to_plain

    def out(name: str, text: str) -> None:
        if name == "-":
            sys.stdout.write(text)
        else:
            write_text(name, text)

    if options.json:
        values = to_plain(model, str(options.experiment), predictions, failures)
        out(options.json, json.dumps(values, indent=None if options.course else 2, ensure_ascii=False) + "\n")
    if options.csv:
        out(options.csv, to_csv(model.classes, predictions))


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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_inspect(commands)
    add_predict(commands)
    add_export(commands)
    add_check(commands)
    add_status(commands)
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
