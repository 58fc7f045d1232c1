"""Recipes whose programs start at once: each is forked from one process that has paid for the imports.

A stub stands in for ``python3`` and for ``sertools`` in the environment of a recipe.  It hands a program of
local/, with its files, folder and variables, to the server here, passes signals on, and ends as the program
does; if the stub is killed, the server kills the program.  All else runs as ever.
"""

import ctypes
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recipe_copy import ROOT

IMPORTED_LATE = (
    "matplotlib.pyplot",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.svm",
    "opensmile",
    "torch.utils.tensorboard",
)
"""Packages that programs import when they need them."""
POWERLESS = "SERTOOLS_TEST_POWERLESS"
"""A variable with which file permissions hold for a program of root's, too."""

Program = Callable[..., subprocess.CompletedProcess[str]]
"""The fixture ``program``: name of a program of local/, arguments."""

STUB = """#!{python} -IS
import os, sys
argv = ["sertools", *sys.argv[1:]] if os.path.basename(sys.argv[0]) == "sertools" else sys.argv[1:]
if argv[:1] != ["sertools"] and os.path.basename(os.path.dirname("".join(argv[:1]))) != "local":
    os.execv({python!r}, [{python!r}, *argv])
import json, signal, socket
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
request = json.dumps([argv, os.getcwd(), dict(os.environ)], ensure_ascii=True).encode()
socket.send_fds(connection, [len(request).to_bytes(4, "big")], [0, 1, 2])
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: connection.send(bytes([number])))
connection.sendall(request)
code = int(connection.recv(16))
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextmanager
def quick_environment(folder: Path) -> Iterator[str]:
    """What SERTOOLS_ENV has to name."""
    (folder / "bin").mkdir(parents=True)
    address = folder / "socket"
    for name in ("python3", "sertools"):
        stub = folder / "bin" / name
        stub.write_text(STUB.format(python=sys.executable, socket=str(address)))
        stub.chmod(0o755)
    variables = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    # another release of a package may be first in what there is (make test-lhotse)
    paths = (str(ROOT), f"{ROOT}/tests", f"{ROOT}/local", os.environ.get("PYTHONPATH", ""))
    server = subprocess.Popen(
        [sys.executable, __file__, str(address)],
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,
    )
    try:
        while not address.exists():
            assert server.poll() is None, "the server did not start"
            time.sleep(0.05)
        yield str(folder)
    finally:
        server.terminate()
        server.wait()


def serve(address: str) -> None:
    """Answer stubs until TERM comes."""
    import sertools
    from sertools.backbones.library import transformers_for
    from sertools.errors import UserError

    modules = [module.name for module in pkgutil.walk_packages(sertools.__path__, "sertools.")]
    for name in (*modules, *IMPORTED_LATE):
        if not name.endswith("__main__"):
            with suppress(ImportError):  # what needs k2, say
                importlib.import_module(name)
    with suppress(UserError):
        transformers_for("tests")
        for kind in ("hubert", "wav2vec2"):
            importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    os.rename(f"{address}.new", address)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            try:
                guard(connection)
            finally:
                os._exit(0)
        connection.close()


def guard(connection: socket.socket) -> None:
    """Run one program in a process of its own, and end it with its stub."""
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    request = b""
    while len(request) < int.from_bytes(size, "big"):
        if not (part := connection.recv(1 << 16)):
            return
        request += part
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        connection.close()
        run(*json.loads(request), files)
    for one in files:
        os.close(one)
    ended = os.pidfd_open(process)
    while True:
        ready = select.select([connection, ended], [], [])[0]
        if ended in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if code:  # as job.sh does, which does not see these processes
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
            connection.send(str(code).encode())
            return
        number = connection.recv(1)
        if not number:  # the stub was killed
            os.kill(process, signal.SIGKILL)
            with suppress(ProcessLookupError):  # if it had no time to make a group of its own
                os.killpg(process, signal.SIGKILL)
            return
        os.kill(process, number[0])


def run(argv: list[str], folder: str, variables: dict[str, str], files: list[int]) -> None:
    """What the forked process does; it does not return."""
    os.setsid()
    for number, one in enumerate(files):
        os.dup2(one, number)
        os.close(one)
    code = 1
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        if POWERLESS in variables:
            give_up_powers()
        sys.argv = argv
        code = run_program(argv[0])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def give_up_powers() -> None:
    """Let file permissions hold for root, too (capset, Linux)."""
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset(header, nothing) != 0:
        raise OSError("capset failed")


def run_program(path: str) -> int:
    """As the interpreter would; the exit code."""
    try:
        if path == "sertools":
            runpy.run_module(path, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
