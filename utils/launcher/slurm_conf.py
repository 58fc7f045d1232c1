"""conf/slurm.conf: how the options of launch.py become those of sbatch, in the format of Kaldi's slurm.pl."""

import dataclasses
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from launcher.jobs import LaunchError, Resources, did_you_mean
from launcher.options import OPTIONS, SBATCH_FLAGS, SBATCH_OPTIONS

DEFAULT_CONF = Path(__file__).with_name("slurm.conf")
# options that a file can map, with the field of Resources; what launch.py itself obeys has no mapping
_MAPPED = {
    "gpu": "gpus",
    "num-threads": "threads",
    "mem": "memory",
    "nodes": "nodes",
    "tasks-per-node": "tasks_per_node",
    "time": "time",
    "partition": "partition",
}
# may have a default: those that are None where a stage does not give them
_DEFAULTS = {
    "mem": "memory",
    "time": "time",
    "partition": "partition",
    "max-jobs-run": "max_jobs_run",
    "max-requeues": "max_requeues",
    "stop-before": "stop_before",
}
_SETTINGS = ("file-delay", "look-every")


@dataclass(frozen=True)
class SlurmConf:
    """What the files say: words for every job, (value, words) of each option in order, defaults."""

    words: tuple[str, ...]
    rules: dict[str, tuple[tuple[str, tuple[str, ...]], ...]]
    defaults: dict[str, str]

    def setting(self, name: str) -> float:
        """A number that launch.py itself uses: file-delay or look-every, in seconds."""
        return float(self.defaults[name])


def read_conf(path: Path | None) -> SlurmConf:
    """The default file and, over it, the file at path.

    Raises:
        LaunchError: the file cannot be read, or a line of it is wrong.
    """
    conf = _parse(DEFAULT_CONF)
    if path is None:
        return conf
    site = _parse(path)
    return SlurmConf(conf.words + site.words, {**conf.rules, **site.rules}, {**conf.defaults, **site.defaults})


def with_defaults(conf: SlurmConf, resources: Resources) -> Resources:
    """The resources, with the file's defaults for what the stage does not give."""
    values = {}
    for name, field in _DEFAULTS.items():
        if name in conf.defaults and getattr(resources, field) is None:
            text = conf.defaults[name]
            values[field] = text if field in ("memory", "time", "partition") else int(text)
    return dataclasses.replace(resources, **values)  # type: ignore[arg-type]


def sbatch_options(conf: SlurmConf, resources: Resources) -> list[str]:
    """The options of sbatch for these resources (defaults filled in), the stage's own last: they win."""
    found = list(conf.words)
    for name, field in _MAPPED.items():
        value = getattr(resources, field)
        alone = resources.nodes == 1 and resources.tasks_per_node is None
        if value is None or (name == "nodes" and alone):
            continue
        found += _mapped(conf, name, str(value))
    for name, text in resources.other:
        found += _mapped(conf, name, text) if name in conf.rules and text is not None else [_plain(name, text)]
    return found


def _mapped(conf: SlurmConf, name: str, value: str) -> list[str]:
    rules = conf.rules[name]
    # the exact value before *, wherever it stands
    for pattern, words in sorted(rules, key=lambda rule: rule[0] == "*"):
        if pattern in (value, "*"):
            return [word.replace("$0", value) for word in words]
    raise LaunchError(f"--{name} {value}: the file of --config has no line for it")


def _plain(name: str, text: str | None) -> str:
    return f"--{name}" if text is None else f"--{name}={text}"


def _parse(path: Path) -> SlurmConf:
    words: list[str] = []
    rules: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {}
    defaults: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"--config: cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        try:
            parts = shlex.split(line, comments=True)
        except ValueError as error:
            raise LaunchError(f"{where}: {error}") from error
        if not parts:
            continue
        if parts[0] == "command" and parts[1:2] == ["sbatch"]:
            words += parts[2:]
        elif (
            parts[0] in ("option", "default") and len(parts) > 1 and (pair := re.fullmatch(r"([\w-]+)=(.*)", parts[1]))
        ):
            name, value = pair[1].replace("_", "-"), pair[2]
            if parts[0] == "option":
                if f"--{name}" in OPTIONS and name not in _MAPPED:
                    if parts[2:]:
                        raise LaunchError(f"{where}: launch.py itself obeys --{name}; sbatch has nothing for it")
                    continue
                _known(where, name, [*_MAPPED, *SBATCH_OPTIONS, *SBATCH_FLAGS])
                rules[name] = (*rules.get(name, ()), (value, tuple(parts[2:])))
            else:
                _check_default(where, name, value)
                defaults[name] = value
        else:
            raise LaunchError(
                f"{where}: a line is 'command sbatch ...', 'option NAME=VALUE ...' or 'default NAME=VALUE'"
            )
    return SlurmConf(tuple(words), rules, defaults)


def _check_default(where: str, name: str, value: str) -> None:
    if (name, value) in (("gpu", "0"), ("num-threads", "1")):
        return  # as Kaldi's files say, and so it is
    _known(where, name, [*_DEFAULTS, *_SETTINGS])
    pattern, what = (r"\d+(\.\d+)?", "a number of seconds") if name in _SETTINGS else OPTIONS[f"--{name}"][1:]
    if not re.fullmatch(pattern, value):
        raise LaunchError(f"{where}: {name} needs {what}, not '{value}'")


def _known(where: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise LaunchError(
            f"{where}: no option {name} that this could be of; {did_you_mean(name, sorted(names)[:12], sorted(names))}"
        )
