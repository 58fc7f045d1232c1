"""Runs programs of local/ for tests, each in a process that is forked from this one: the imports are paid once.

Reads requests as JSON lines {"argv": [...], "cwd": ..., "powerless": bool}, answers {"code": ..., "stdout": ...,
"stderr": ...}.  What a program sees differs from a start of its own in nothing but the modules already loaded.
"""

import ctypes
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def give_up_powers() -> None:
    """Let file permissions hold for root, too (capset, Linux)."""
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, nothing) != 0:
        raise OSError("capset failed")


def run(argv: list[str]) -> int:
    """Run a program of local/, or the command sertools; its exit code."""
    program = ROOT / "local" / argv[0]
    sys.argv = argv if argv[0] == "sertools" else [str(program), *argv[1:]]
    try:
        if argv[0] == "sertools":
            runpy.run_module("sertools", run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # as the interpreter would end
        traceback.print_exc()
        return 1
    return 0


def child(request: dict[str, Any], output: int, errors: int) -> None:
    """What the forked process does; it does not return."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.chdir(request["cwd"])
        if request["powerless"]:
            give_up_powers()
        code = run(request["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def main() -> None:
    sys.path.insert(0, str(ROOT / "local"))
    # the heaviest
    import cli  # noqa: F401
    import sertools.asr.training
    import sertools.emotion.experiment
    import sertools.features.pipeline
    import sertools.prediction.apply  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = os.fork()
            if process == 0:
                child(request, output.fileno(), errors.fileno())
            _, status = os.waitpid(process, 0)
            answer: dict[str, Any] = {"code": os.waitstatus_to_exitcode(status)}
            for name, stream in (("stdout", output), ("stderr", errors)):
                stream.seek(0)
                answer[name] = stream.read().decode(errors="replace")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
