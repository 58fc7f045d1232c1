"""Each program of local/ by itself: other tests fork programs from a process that has imported all of sertools."""

import os
import subprocess
import sys
from pathlib import Path

LOCAL = Path(__file__).parents[2] / "local"
# the packages that take long are imported once, nothing of sertools is
HELP = """
import contextlib, importlib, io, os, runpy, sys, traceback
for name in "torch torch.utils.tensorboard lhotse scipy.stats matplotlib.figure jinja2 safetensors.torch".split():
    importlib.import_module(name)
assert not [name for name in sys.modules if name.split(".")[0] == "sertools"]
sys.path.insert(0, os.path.dirname(sys.argv[1]))
for path in sys.argv[1:]:
    if os.fork() == 0:
        code, sys.argv = 1, [path, "--help"]
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if os.wait()[1]:
        print(path, flush=True)
"""


def test_every_program_starts_alone() -> None:
    programs = sorted(str(path) for path in LOCAL.glob("*.py") if path.name != "cli.py")
    assert len(programs) > 40
    environment = {**os.environ, "PYTHONPATH": str(LOCAL.parent)}
    done = subprocess.run([sys.executable, "-c", HELP, *programs], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
