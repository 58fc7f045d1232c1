"""``sertools export``: one run as a network for other programs."""

import argparse
from pathlib import Path

from sertools.helptext import read_inputs

DOC = """Write one run of an experiment (S1, S3, Cnn14) as a network that needs nothing of sertools.

    sertools export exp/pooled_four emotion.pt
    sertools export --member fold_Session1/seed_2 exp/pooled_four emotion.onnx
    sertools export --input backbone=DIR exp/s3_sum_four_from_whisper-tiny.en emotion.pt

OUT.pt is TorchScript, OUT.onnx is ONNX.  Input: features (1, T, F) float32, MFCC or (Cnn14) log-mel; of S1 also
lengths (1,) int64, and ivectors (1, D) float32 where the network takes them.  Systems of S3 on a pretrained speech
model take a waveform (1, S) float32, full scale 1, and the model is part of the file; those with words take frames
and words as they are stored.  Output: probabilities (1, C), or the value of a number (1, 1).  OUT.json beside it has
classes, settings of the features and where it comes from.  What was written is run on utterances of several lengths
beside the system itself, and is not kept if an output differs by more than 1e-5.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools export``."""
    command.add_argument("experiment", type=Path, help="folder of an experiment, or of one run of it")
    command.add_argument("output", type=Path, help="OUT.pt or OUT.onnx")
    command.add_argument("--member", metavar="RUN", help="such as fold_Session1/seed_1; default: the first with seed 1")
    command.add_argument(
        "--input", action="append", default=[], metavar="NAME=PATH", help="needed besides, e.g. backbone=DIR"
    )
    command.add_argument("--uncalibrated", action="store_true", help="without temperature")
    command.add_argument("--unchecked", action="store_true", help="write ONNX where onnxruntime is not there to run it")


def export(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from sertools.prediction.export import export_member

    exported = export_member(
        options.experiment, options.output, options.member, calibrated=not options.uncalibrated,
        check=not options.unchecked, given=read_inputs(options.input),
    )  # fmt: skip
    checked = "not run" if exported.difference is None else f"differs by at most {exported.difference:.1e}"
    print(f"{options.output} ({checked}), {exported.description}: {exported.member}")
    return 0
