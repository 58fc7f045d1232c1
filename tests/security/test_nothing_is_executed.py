"""No file that a user may have been sent is opened by what can run code; names reach no shell.

A list of calls that the project does without, and where one is there nevertheless, why.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("sertools", "local", "utils", "egs", "benchmarks")
ALLOWED = {
    ("sertools/prediction/exported_file.py", "torch.jit.load"): "reads back what was written a moment before",
    ("sertools/prediction/exported_file.py", "importlib.import_module"): "onnxruntime, by a name that is written there",
    ("sertools/prediction/speech.py", "torch.jit.load"): "silero-vad's own file, out of the package that is installed",
    ("sertools/corpora/registry.py", "importlib.import_module"): "modules of corpora, by names that are written there",
    ("sertools/emotion/kinds.py", "importlib.import_module"): "modules of kinds, by names that are written there",
    ("sertools/foreign/archive.py", "zipfile"): "reads records of PyTorch's files in memory; nothing is unpacked",
    ("utils/launcher/job.sh", "eval"): "the command of launch.py, each of its words quoted by shlex.quote",
    ("utils/launcher/slurm_job.sh", "eval"): "likewise",
    ("utils/launcher/slurm_task.sh", "eval"): "likewise",
    ("utils/launcher/tasks.py", "bash -c"): "likewise",
    ("benchmarks/prompts/get_prompts.sh", "dpkg-deb"): "unpacks Debian's packages, which apt-get has verified",
}

# modules that unpickle, run code or unpack
MODULES = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "runpy", "code",
    "codeop", "pty", "zipfile", "tarfile",
}  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__"}
# the last parts of a call's dotted name; of one that is known by its last part alone, that
CALLS = {
    "torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "hub.load_state_dict_from_url", "jit.load",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "os.execv",
    "os.execvp", "os.execl", "os.execlp", "os.spawnl", "os.spawnv", "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "importlib.import_module", "shutil.unpack_archive", "asyncio.create_subprocess_shell",
}  # fmt: skip
# Lhotse's own readers of manifests; sertools.manifests is in their place
LHOTSE = {
    "CutSet.from_file", "SupervisionSet.from_file", "RecordingSet.from_file", "FeatureSet.from_file", "load_manifest",
    "load_manifest_lazy", "load_manifest_lazy_or_eager", "from_jsonl", "from_jsonl_lazy", "from_shar",
    "from_webdataset", "open_best", "SmartOpen.open",
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """``a.b.c``; empty for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return ""


def in_python(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything in a module that the project does without."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
            found += [f"{alias.name} as {alias.asname}" for alias in node.names
                      if alias.asname and alias.name in ("torch", "yaml", "os", "subprocess")]  # fmt: skip
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            found = [module] if module.split(".")[0] in MODULES else [name for name in names if _known(name)]
        elif isinstance(node, ast.Call):
            found = list(_in_call(node))
        else:
            continue
        for name in found:
            yield node.lineno, name


def _known(name: str) -> str:
    """The name on the lists that this is."""
    parts = name.split(".")
    for known in sorted(CALLS | LHOTSE, key=len, reverse=True):
        wanted = known.split(".")
        if parts[-len(wanted) :] == wanted:
            return known
    return ""


def _in_call(node: ast.Call) -> Iterator[str]:
    name = dotted(node.func)
    if isinstance(node.func, ast.Name) and name in BUILTINS:
        yield name
    elif known := _known(name):
        yield known
    for keyword in node.keywords:
        constant = keyword.value.value if isinstance(keyword.value, ast.Constant) else "computed"
        if keyword.arg in ("shell", "allow_pickle", "weights_only") and constant is not False:
            yield f"{keyword.arg}={constant}"
    for argument in node.args:
        words = (
            [w.value for w in argument.elts if isinstance(w, ast.Constant)] if isinstance(argument, ast.List) else []
        )
        if "-c" in words and words[0] in ("bash", "sh"):
            yield "bash -c"


SHELL = re.compile(r"(?:^|[\s;&|(`])(eval|unzip|tar|dpkg-deb|(?:ba)?sh -c|curl|wget)(?=\s)")


def in_shell(text: str) -> Iterator[tuple[int, str]]:
    """Line and name, but for comments."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            for found in SHELL.findall(line):
                yield number, found


def files(root: Path) -> list[Path]:
    """All programs of the project."""
    own = [root / "path.sh", root / "setup.py"]
    for folder in FOLDERS:
        own += [p for p in (root / folder).rglob("*") if p.suffix in (".py", ".sh") and p.is_file()]
    return sorted(p for p in own if not {"data", "exp"} & set(p.relative_to(root).parts))


def test_no_program_opens_what_can_run_code(root: Path) -> None:
    found: dict[tuple[str, str], list[int]] = {}
    listed = files(root)
    assert len(listed) > 150
    for path in listed:
        text = path.read_text(encoding="utf-8")
        for line, name in in_python(text) if path.suffix == ".py" else in_shell(text):
            found.setdefault((str(path.relative_to(root)), name), []).append(line)
    assert {key: lines for key, lines in found.items() if key not in ALLOWED} == {}
    assert {key for key in ALLOWED if key not in found} == set(), "a reason for what is no longer there"


BAD = {
    "import pickle": "pickle",
    "from joblib import load": "joblib",
    "import zipfile": "zipfile",
    "import torch as t": "torch as t",
    "torch.load('x')": "torch.load",
    "from torch import load": "torch.load",
    "torch.load('x', weights_only=True)": "weights_only=True",
    "np.load('x', allow_pickle=True)": "allow_pickle=True",
    "np.load('x', allow_pickle=trusted)": "allow_pickle=computed",
    "yaml.load(text, Loader=yaml.Loader)": "yaml.load",
    "eval(text)": "eval",
    "exec(text)": "exec",
    "__import__(name)": "__import__",
    "os.system('ls')": "os.system",
    "subprocess.run('ls', shell=True)": "shell=True",
    "run(['bash', '-c', x])": "bash -c",
    "lhotse.CutSet.from_file(path)": "CutSet.from_file",
    "from lhotse.serialization import load_manifest": "lhotse.serialization.load_manifest",
    "cuts = CutSet.from_jsonl_lazy(path)": "from_jsonl_lazy",
}


@pytest.mark.parametrize("text", BAD)
def test_the_list_is_looked_for(text: str) -> None:
    assert BAD[text] in [name for _, name in in_python(text)]


def test_and_nothing_else(root: Path) -> None:
    fine = "np.load(x, allow_pickle=False)\nyaml.safe_load(x)\nmodel.eval()\nRecording.from_file(x)\nre.compile(x)\n"
    assert list(in_python(fine)) == []
    assert list(in_shell("# eval x\nstart=1\nretar x\n")) == []
    assert [name for _, name in in_shell("a; eval \"$x\"\n  unzip a.zip\nsh -c 'x'\n")] == ["eval", "unzip", "sh -c"]


def test_pages_escape_names() -> None:
    from sertools.evaluation.score.report import page

    template = page("report.html").environment.from_string("{{ name }}")
    assert template.render(name="<script>alert('x')</script>") == "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
