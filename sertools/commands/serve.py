"""``sertools serve``: a page on this machine for speech and its probabilities, or for labelling."""

import argparse
import socket
import sys
from pathlib import Path

from sertools.devices import use_device
from sertools.errors import MissingPackage, UserError
from sertools.helptext import read_inputs

DOC = """A page on this machine: drop or record speech, and see the probabilities over its waveform.

    sertools serve                                       with the model that comes with the package
    sertools serve exp/pooled_four --port 8000
    sertools serve exp/pooled_four --review recordings/ --table labels.csv

Prints an address with a token; only who has it can use the page, and only on this machine (127.0.0.1).  Nothing leaves
it, and nothing is kept.  --review goes through utterances (files, folders, manifests), the least sure first, and writes
what a person says of each to --table; what the system says is shown afterwards.  Needs starlette and uvicorn
(make env-serve, or pip install 'sertools[serve]').
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools serve``."""
    add = command.add_argument
    add("experiment", nargs="?", type=Path, metavar="EXPERIMENT", help="folder of an experiment, or of one run")
    add("--members", default="fold_*/seed_1", help="which runs: a pattern, or all (default: %(default)s)")
    add("--input", action="append", default=[], metavar="NAME=PATH", help="what a system needs besides")
    add("--port", type=int, default=0, help="default: one that is free")
    add("--review", nargs="+", metavar="FILE", help="label these utterances")
    add("--table", type=Path, metavar="CSV", help="where labels go; what it has is kept (default: labels.csv)")
    add("--below", type=float, default=1.01, metavar="P", help="review only utterances with less than this probability")
    add("--device", default="cpu", help="a torch device (default: %(default)s)")
    add("--quiet", action="store_true", help="print the address alone")


def serve(options: argparse.Namespace) -> int:
    """Run the command until it is interrupted; returns the exit code."""
    try:
        import uvicorn

        from sertools.serving.app import make_app
    except ImportError as error:
        raise MissingPackage(
            str(error.name), "sertools serve", "Add it by `make env-serve`, or pip install 'sertools[serve]'."
        ) from error
    from sertools.packaged import packaged_model
    from sertools.prediction.apply import load_emotion

    if options.table is not None and not options.review:
        raise UserError("--table is of --review: give utterances, too")
    experiment = options.experiment or packaged_model()
    device = use_device(options.device)
    model = load_emotion(experiment, options.members, device, given=read_inputs(options.input))
    if not model.classes:
        raise UserError(f"{experiment} predicts a number ({model.target.name}), and the page shows classes; use "
                        "sertools predict --plot")  # fmt: skip
    title = "the packaged model" if options.experiment is None else str(options.experiment)
    app = make_app(model, title, review=_review(options, model))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", options.port))
        except OSError as error:
            raise UserError(f"port {options.port} cannot be used: {error.strerror}; name another (--port)") from error
        # a browser that is there before the server waits, and is not refused
        listening.listen()
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/?token={app.state.token}", flush=True)
        if not options.quiet:
            print("open this address in a browser on this machine; Ctrl-C ends it", file=sys.stderr)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
        server.run(sockets=[listening])
    return 0


def _review(options: argparse.Namespace, model):  # type: ignore[no-untyped-def]
    if not options.review:
        return None
    from sertools.prediction.audio import find_sources
    from sertools.serving.review import Review

    if "-" in options.review:
        raise UserError("--review takes files, folders and manifests, not a stream")
    table = options.table or Path("labels.csv")
    review = Review(model, find_sources(options.review, sys.stdin.buffer), table, options.below)
    for name, reason in review.left_out.items():
        print(f"left out: {name} {reason}", file=sys.stderr)
    if not options.quiet:
        print(f"{len(review.items)} utterances to review; labels go to {table}", file=sys.stderr)
    return review
