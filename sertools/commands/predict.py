"""``sertools predict``: files, folders, manifests and streams in; a line a segment, and files, out."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sertools.devices import use_device
from sertools.errors import MissingPackage, UserError
from sertools.helptext import read_inputs

# heavy modules are imported where they are used: --help and mistakes in the command line answer at once
if TYPE_CHECKING:
    from sertools.prediction.apply import CourseConfig, EmotionModel, Failure, Prediction
    from sertools.prediction.audio import Source
    from sertools.prediction.timed import Segment
    from sertools.prediction.words import Listener

DOC = """Class probabilities of speech, or a number such as arousal, by a trained emotion experiment.

    sertools predict speech.wav                       the small model that comes with the package
    sertools predict --experiment exp/pooled_four speech.wav folder/ cuts.jsonl.gz
    sertools predict --speech silero --srt subtitles --textgrid praat long.mp3
    arecord -f S16_LE -r 16000 - | sertools predict --live -

Reads what libsndfile reads, at any rate; folders; Lhotse manifests (.jsonl, .jsonl.gz); - for standard input.
Calibrated probabilities of the experiment's runs (--members) are averaged.  What cannot be used is named.

--speech finds speech in a long recording first: silero (needs silero-vad), energy (loudness alone), or windows
(stretches of --window seconds); each stretch is then recognised as an utterance.  --course and --plot show how
probabilities go over an utterance.  Systems with data.normalise: speaker need speakers: of a manifest, or
--one-speaker.  Systems on a pretrained model need its folder: --input backbone=DIR.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools predict``."""
    add = command.add_argument
    add("audio", nargs="*", metavar="FILE", help="files, folders, manifests, or -")
    add("--experiment", type=Path, metavar="DIR", help="folder of runs, or one run (default: packaged model)")
    add("--members", default="fold_*/seed_1", help="a pattern of runs, or all (%(default)s)")
    add("--input", action="append", default=[], metavar="NAME=PATH", help="needed besides, e.g. backbone=DIR")
    add("--recogniser", type=Path, metavar="DIR", help="a recogniser's checkpoint, for words")
    add("--uncalibrated", action="store_true", help="probabilities as the networks give them")
    add("--one-speaker", action="store_true", help="all utterances are of one speaker")
    add("--channel", type=int, metavar="N", help="this channel, from 1, not the mean of all")
    add("--speech", choices=("silero", "energy", "windows"), metavar="HOW", help="find speech first")
    add("--json", metavar="FILE", help="everything as JSON; - for stdout")
    add("--csv", metavar="FILE", help="a line a segment as CSV; - for stdout")
    add("--srt", type=Path, metavar="DIR", help="subtitles, a file a recording")
    add("--textgrid", type=Path, metavar="DIR", help="TextGrids for Praat or ELAN, likewise")
    add("--course", action="store_true", help="put the course over time into --json")
    add("--plot", type=Path, metavar="DIR", help="draw the course, a PNG for each utterance")
    add("--live", action="store_true", help="- is a stream: its last seconds, again and again")
    add("--microphone", action="store_true", help="the same of the microphone (needs sounddevice)")
    add("--raw-rate", type=int, metavar="HZ", help="the stream is raw 16-bit samples, not a WAV file")
    add("--window", type=float, metavar="S", help="seconds, of course, --live, --speech windows")
    add("--step", type=float, metavar="S", help="seconds from window to window")
    add("--about", action="store_true", help="the packaged model's card")
    add("--quiet", action="store_true", help="no notes, no table; files and errors only")
    add("--device", default="cpu", help="a torch device (default: %(default)s)")


def predict(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if options.about:
        from sertools.packaged import about

        print(about())
        return 0
    _check(options)
    from sertools.prediction.apply import load_emotion

    course = _course(options)
    given = read_inputs(options.input)
    experiment = options.experiment
    if experiment is None:
        from sertools.packaged import packaged_model

        experiment = packaged_model()
        _note(options, "the packaged model: four emotions, acted speech, for research and not for commercial use "
                       "(sertools predict --about)")  # fmt: skip
    options.device = use_device(options.device)
    model = load_emotion(experiment, options.members, options.device, calibrated=not options.uncalibrated, given=given)
    listener = _listener(options)
    if options.live or options.microphone:
        return _live(options, model)
    return _files(options, model, listener, course, str(experiment))


def _check(options: argparse.Namespace) -> None:
    live = options.live or options.microphone
    if options.microphone and options.audio:
        raise UserError("--microphone takes no files")
    if options.live and options.audio != ["-"]:
        raise UserError("--live follows standard input: give - as the only file")
    if not options.audio and not options.microphone:
        raise UserError("give files, folders, manifests or - (or --microphone)")
    if live and (options.speech or options.course or options.plot or options.srt or options.textgrid or options.csv
                 or options.recogniser):  # fmt: skip
        raise UserError("--live and --microphone go with --json - alone")
    if options.raw_rate is not None and not options.live:
        raise UserError("--raw-rate is of a stream: give --live, too")
    if options.course and not options.json:
        raise UserError("--course goes into --json FILE; give that too (or --plot DIR, for a picture)")
    timed = options.course or options.plot or live or options.speech == "windows"
    if (options.window is not None or options.step is not None) and not timed:
        raise UserError("--window and --step are of the course: give --course or --plot (or --live, --speech windows)")
    if options.json == "-" and options.csv == "-":
        raise UserError("--json - and --csv - cannot both have the standard output")


def _course(options: argparse.Namespace) -> "CourseConfig | None":
    from sertools.prediction.apply import CourseConfig

    if not (options.course or options.plot):
        return None
    try:
        return CourseConfig(options.window, options.step)
    except ValueError as error:
        raise UserError(f"--window, --step: {error}") from error


def _listener(options: argparse.Namespace) -> "Listener | None":
    if options.recogniser is None:
        return None
    from sertools.prediction.words import Listener

    return Listener(options.recogniser, options.device)


def _note(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(f"note: {text}", file=sys.stderr)


def _files(
    options: argparse.Namespace, model: "EmotionModel", listener: "Listener | None", course: "CourseConfig | None",
    experiment: str,
) -> int:  # fmt: skip
    from sertools.prediction.apply import Failure
    from sertools.prediction.audio import find_sources
    from sertools.prediction.output import table_header, table_line

    speaker = "the one" if options.one_speaker else None
    sources = find_sources(options.audio, sys.stdin.buffer, options.channel, speaker)
    table = not options.quiet and "-" not in (options.json, options.csv)
    if table:
        print(table_header(model.target, bool(options.speech)), flush=True)
    common = _common([source.name for source in sources])
    segments: list[Segment] = []
    failures: list[Failure] = []
    for found in _recognised(options, model, listener, course, sources):
        if isinstance(found, Failure):
            failures.append(found)
            print(f"error: {found.name} {found.reason}", file=sys.stderr)
            continue
        if table:
            print(table_line(found, bool(options.speech)), flush=True)
            if found.prediction.words is not None:
                print(f"  heard: {found.words or '(nothing)'}", flush=True)
        for note in found.prediction.notes:
            _note(options, f"{found.prediction.name} {note}")
        segments.append(replace(found, prediction=_drawn(found.prediction, options.plot, common, options.course)))
    _write(options, model, experiment, segments, failures, common)
    if failures:
        print(
            f"error: {len(failures)} of {len(segments) + len(failures)} utterances could not be used", file=sys.stderr
        )
    return 1 if failures else 0


def _recognised(
    options: argparse.Namespace, model: "EmotionModel", listener: "Listener | None", course: "CourseConfig | None",
    sources: "Sequence[Source]",
) -> "Iterator[Segment | Failure]":  # fmt: skip
    from sertools.prediction.apply import Failure
    from sertools.prediction.speech import find_speech
    from sertools.prediction.timed import Segment

    if not options.speech:
        for source, found in zip(sources, model.predict_all(sources, course), strict=True):
            if isinstance(found, Failure):
                yield found
            else:
                heard = _heard(found, source, listener)
                yield Segment(source.name, 0.0, found.duration, found.duration, heard)
        return
    for source in sources:
        try:
            recording = find_speech(source, options.speech, length=options.window or 4.0)
        except MissingPackage:
            raise  # of no file in particular
        except UserError as error:
            yield Failure(source.name, str(error))
            continue
        if not recording.speech:
            yield Failure(source.name, f"has no speech (--speech {options.speech})")
            continue
        parts = [recording.part(stretch) for stretch in recording.speech]
        results = model.predict_all(parts, course)
        for stretch, part, found in zip(recording.speech, parts, results, strict=True):
            if isinstance(found, Failure):
                yield found
            else:
                heard = _heard(found, part, listener)
                yield Segment(source.name, stretch.start, stretch.end, recording.duration, heard)


def _heard(prediction: "Prediction", source: "Source", listener: "Listener | None") -> "Prediction":
    return prediction if listener is None else replace(prediction, words=listener(source))


def _live(options: argparse.Namespace, model: "EmotionModel") -> int:
    from sertools.prediction.live import Blocks, LiveConfig, Microphone, PcmStream, follow
    from sertools.prediction.output import moment_line, moment_plain

    try:
        config = LiveConfig(options.window or LiveConfig.window, options.step or LiveConfig.step)
    except ValueError as error:
        raise UserError(f"--window, --step: {error}") from error
    blocks: Blocks = (
        Microphone(model.sampling_rate) if options.microphone else PcmStream(sys.stdin.buffer, options.raw_rate)
    )
    _note(
        options,
        f"each line is of the last {config.window:g} s, every {config.step:g} s: latency is {config.window / 2:g} s "
        f"(half a window), up to {config.step:g} s more, and what computing takes, which each line says",
    )
    for moment in follow(model, blocks, config):
        if options.json == "-":
            print(json.dumps(moment_plain(moment), ensure_ascii=False), flush=True)
        else:
            print(moment_line(moment), flush=True)
    return 0


def _common(names: Sequence[str]) -> str:
    """The folder that all utterances are in, so that files are called by the rest of their names."""
    paths = [os.path.dirname(name) for name in names]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # absolute and relative ones
        return ""


def _drawn(prediction: "Prediction", directory: Path | None, common: str, keep: bool) -> "Prediction":
    """Draw a prediction; without its course, if that is not wanted any more."""
    if directory is not None:
        from sertools.files import replacing
        from sertools.prediction.course_plot import draw_course, plot_path

        with replacing(plot_path(directory, prediction.name, common)) as temporary:
            temporary.write_bytes(draw_course(prediction))
    return prediction if keep else replace(prediction, course=None)


def _write(
    options: argparse.Namespace, model: "EmotionModel", experiment: str, segments: "list[Segment]",
    failures: "list[Failure]", common: str,
) -> None:  # fmt: skip
    from sertools.files import write_text
    from sertools.prediction.output import to_csv, to_plain
    from sertools.prediction.timed import to_srt, to_textgrid

    def out(name: str, text: str) -> None:
        if name == "-":
            sys.stdout.write(text)
        else:
            write_text(name, text)

    if options.json:
        values = to_plain(model, experiment, segments, failures)
        out(options.json, json.dumps(values, indent=None if options.course else 2, ensure_ascii=False) + "\n")
    if options.csv:
        out(options.csv, to_csv(model.target, segments, bool(options.speech)))
    of_recordings: dict[str, list[Segment]] = {}
    for one in segments:
        of_recordings.setdefault(one.recording, []).append(one)
    for name, own in of_recordings.items():
        for folder, suffix, text in (
            (options.srt, ".srt", to_srt(own)), (options.textgrid, ".TextGrid", to_textgrid(own))
        ):  # fmt: skip
            if folder:
                write_text(_beside(folder, name, common, suffix, list(of_recordings)), text)


def _beside(folder: Path, name: str, common: str, suffix: str, names: Sequence[str]) -> Path:
    """Where a recording's file goes: called like the recording, with its suffix too where two would be alike."""
    from sertools.prediction.course_plot import plot_path

    alone = sum(os.path.splitext(other)[0] == os.path.splitext(name)[0] for other in names) == 1
    path = plot_path(folder, os.path.splitext(name)[0] if alone else name, common)
    return path.parent / (path.name.removesuffix(".png") + suffix)
