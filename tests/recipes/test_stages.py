"""What the recipes share: egs/common, and how a script is begun."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from recipe_copy import ROOT, Recipe, copy_recipe

from sertools.documents import read_yaml


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        ("../tedlium2/exp/a2w", "a2w"), ("../librispeech/exp/a2w", "librispeech_a2w"), ("exp/a2w/", "a2w"),
        ("/root of all/egs/librispeech/exp/demo_a2w/", "librispeech_demo_a2w"), ("/models/a2w", "a2w"), ("a2w", "a2w"),
        ("./exp/a2w", "a2w"), ("../exp/a2w", "a2w"),
    ],
)  # fmt: skip
def test_names_of_experiments(experiment: str, name: str) -> None:
    text = f'. {ROOT}/egs/common/stages/setting.sh; home=tedlium2; experiment_name "{experiment}"'
    assert subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=True).stdout == f"{name}\n"


@pytest.mark.parametrize(("seed", "name"), [(1, "lena_10_tiny_small"), (2, "lena_10_tiny_small_seed2")])
def test_networks_of_other_seeds_have_names_of_their_own(seed: int, name: str) -> None:
    text = (
        f". {ROOT}/egs/common/stages/setting.sh; . {ROOT}/egs/common/stages/pretraining.sh; "
        f"network=tiny graphs=graphs_small; network_of lena 10 {seed}"
    )
    done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, check=True)
    assert done.stdout == f"../tedlium2/exp/{name}\n"


def of_pretraining(settings: str, call: str) -> list[str]:
    """Lines that functions of pretraining.sh say, on two parts of one speech, with what they start only told."""
    text = (
        f". {ROOT}/egs/common/stages/setting.sh; . {ROOT}/egs/common/stages/systems.sh; "
        f". {ROOT}/egs/common/stages/benchmark.sh; . {ROOT}/egs/common/stages/pretraining.sh; "
        "home=tedlium2 network=tiny graphs=graphs_small control=tiny_random parts=('lena 10' 'lena all') spoken=lena; "
        f"nj=1 gpu=0 num_seeds=5 train_cmd=plan task_list=toy systems=s1/pooled level=s1/pooled_mfcc; {settings}; "
        'declare -A needs=([s1/pooled]=pretrained [s1/pooled_mfcc]=-); plan() { printf "%s\\n" "${@:2}"; }; '
        'run_here() { sed "s/.* --name//" "$1"; echo "--"; }; mkdir -p data/speech/log; ' + call
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["bash", "-euc", text], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_pretrainings_of_several_seeds_are_one_after_the_other() -> None:
    """Those of one part share features and graphs: of one seed at once are networks of different parts only."""
    lines = of_pretraining("seeds='1 3'", "pretrain_parts")
    told = [
        line if line == "--" else (line.split()[0], *re.findall(r"--(?:system|seed) (\S+)", line)) for line in lines
    ]
    first = [("lena_10", "tiny_random", "1"), "--", ("lena_10", "tiny", "1"), ("lena", "tiny", "1"), "--"]
    assert told == [*first, *(one if one == "--" else (*one[:2], "3") for one in first)]


@pytest.mark.parametrize(("seeds", "others"), [("1", [""]), ("1 3", ["", "_seed3"])])
def test_a_point_of_the_curve_is_of_all_seeds(seeds: str, others: list[str]) -> None:
    names = of_pretraining(f"seeds='{seeds}'", "all_networks")
    assert names == [
        f"../tedlium2/exp/{name}_small{other}"
        for name in ("lena_10_tiny_random", "lena_10_tiny", "lena_tiny")
        for other in others
    ]
    lines = of_pretraining(f"seeds='{seeds}'", "pretraining_curves")
    of = {
        name: "+".join(f"exp/toy/pooled_from_{name}_small{other}" for other in others)
        for name in ("lena_10_tiny_random", "lena_10_tiny", "lena_tiny")
    }
    assert f"pooled_lena={of['lena_10_tiny']},{of['lena_tiny']}" in lines
    assert f"pooled_random_weights={of['lena_10_tiny_random']}" in lines
    assert "pooled_mfcc=exp/toy/pooled_mfcc" in lines


def test_what_was_pretrained_is_listed_without_its_controls() -> None:
    """`make benchmark` gives the file to ./run.sh --pretrained."""
    lines = of_pretraining("seeds='1 3'", "list_networks > /dev/null; cat exp/pretrained_networks")
    names = [f"lena_{part}tiny_small{other}" for part in ("10_", "") for other in ("", "_seed3")]
    assert lines == [f"../tedlium2/exp/{name}" for name in names]


@pytest.mark.parametrize("given", ["/a /b", " /a  /b ", "/a\n/b\n"])
def test_networks_are_told_apart_by_any_space(given: str) -> None:
    """One that needs only the sizes of a network takes the first."""
    text = (
        f". {ROOT}/egs/common/stages/benchmark.sh; declare -A needs=([x]=shape [y]=pretrained) reads=([y]=bottleneck); "
        'pretrained=$(one_line "$1"); networks_for x; networks_for y; one_line " "'
    )
    done = subprocess.run(["bash", "-euc", text, "-", given], capture_output=True, text=True, check=True)
    assert done.stdout == "/a\n/a /b\n\n"


BENCHMARK = (
    "SPEECH",
    "BACKBONE",
    "OPTIONS",
    "PRETRAINED",
    "CORPORA",
    "PRETRAINING",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
)


def told_by_make(*given: str) -> str:
    command = ["make", "-n", "benchmark", "CORPORA=ravdess=/r", *given]
    environment = {name: value for name, value in os.environ.items() if name not in BENCHMARK}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_benchmark_hands_over_all_networks() -> None:
    plain = told_by_make("OPTIONS=--num-seeds 2")
    assert 'egs/benchmark/run.sh --corpora "ravdess=/r" --backbone "" --pretrained "" --num-seeds 2\n' in plain
    assert "add_extra.sh ssl" not in plain
    assert "run_pretraining.sh" not in plain
    networks = told_by_make(
        "BACKBONE=/whisper /wavlm", "PRETRAINED=/n /m", "SPEECH=mine=/c", "PRETRAINING=--minutes 10"
    )
    assert "for one in /r /whisper /wavlm /n /m;" in networks
    assert "add_extra.sh ssl" in networks
    assert 'run_pretraining.sh --speech "mine=/c" --corpora "ravdess=/r" --minutes 10\n' in networks
    assert "networks=$(utils/carried_networks.sh /n /m) && egs/benchmark/run.sh" in networks
    assert '--backbone "/whisper /wavlm" --pretrained "$networks"' in networks


def test_make_benchmark_does_not_go_on_before_jobs_are_done() -> None:
    told = told_by_make("SPEECH=mine=/c", "PRETRAINING=--minutes 10 --submit")
    assert "run_pretraining.sh" in told
    assert "without --submit" in told
    assert "benchmark/run.sh" not in told


def test_networks_that_are_carried_are_trained_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "utils").mkdir()
    program = shutil.copy(ROOT / "utils/carried_networks.sh", tmp_path / "utils")

    def carried(*given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *given], capture_output=True, text=True)

    (tmp_path / "egs/benchmark/exp").mkdir(parents=True)
    assert carried().returncode == 2
    assert "there is no egs/benchmark/exp/pretrained_networks" in carried().stderr
    for name in "abc":
        (tmp_path / f"egs/tedlium2/exp/{name}/checkpoint").mkdir(parents=True)
    listed = "../tedlium2/exp/a", "../tedlium2/exp/b"
    (tmp_path / "egs/benchmark/exp/pretrained_networks").write_text("".join(f"{one}\n" for one in listed))
    assert carried().stdout == " ".join(listed) + "\n"
    twice = f"{tmp_path}/egs/tedlium2/exp/a/", "egs/tedlium2/exp/b", "../tedlium2/exp/b", "egs/tedlium2/exp/c"
    assert carried(*twice).stdout == " ".join((*listed, "egs/tedlium2/exp/c")) + "\n"
    (tmp_path / "egs/tedlium2/exp/b/checkpoint").rmdir()
    assert (carried().returncode, carried().stdout) == (2, "")
    assert "../tedlium2/exp/b has no checkpoint" in carried().stderr


# -- how a script is begun


def test_a_command_on_a_page_can_be_typed_again() -> None:
    words = ["--systems", "s2/svm s1/pooled", "--layer", "", "--corpora=a=/data/it's here", "--nj", "2", "$HOME", "*"]
    text = f'eval "$(sed -n \'/^recipe_quoted()/,/^}}/p\' {ROOT}/utils/recipe.sh)"; recipe_quoted "$@"'
    line = subprocess.run(["bash", "-euc", text, "-", *words], capture_output=True, text=True, check=True).stdout
    assert shlex.split(line) == words
    assert line.startswith("--systems 's2/svm s1/pooled' --layer '' ")
    assert "--nj 2 '$HOME' '*'" in line


@pytest.fixture
def ravdess(tmp_path: Path) -> Recipe:
    return copy_recipe(tmp_path / "project", "ravdess")


def said(recipe: Recipe, command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env={**recipe.environment, **environment}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_from_anywhere_by_any_shell(ravdess: Recipe, tmp_path: Path) -> None:
    """A link to a recipe or its script, CDPATH, another shell: the help is the same."""
    egs = ravdess.directory.parent
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/mine").symlink_to(ravdess.directory)
    (tmp_path / "a/go").symlink_to(ravdess.directory / "run.sh")
    (tmp_path / "other/ravdess").mkdir(parents=True)
    wanted = said(ravdess, "./run.sh --help", ravdess.directory)
    assert "  3  MFCC features\n" in wanted
    assert "Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them." in wanted
    for command, folder in (
        ("./run.sh --help", tmp_path / "a/b/mine"), ("mine/run.sh --help", tmp_path / "a/b"),
        ("./go --help", tmp_path / "a"),
        ("ravdess/run.sh --help", egs), ("sh run.sh --help", ravdess.directory), ("sh ravdess/run.sh --help", egs),
    ):  # fmt: skip
        assert said(ravdess, command, folder, CDPATH=f"{tmp_path}/other:.") == wanted, command


def test_what_a_users_shell_hands_on(ravdess: Recipe, tmp_path: Path) -> None:
    """Options, aliases and exported functions of another shell, BASH_ENV of a site: the help is the same."""
    wanted = said(ravdess, "./run.sh --help", ravdess.directory)
    (tmp_path / "site").write_text("shopt -s expand_aliases failglob\nalias cd='echo moved' sed='echo no'\nset -C\n")
    functions = 'cd() { builtin cd "$@" && ls --color=always; }; sed() { echo mine; }; export -f cd sed; '
    for command, environment in (
        ("./run.sh --help", {"SHELLOPTS": "noclobber:noglob:keyword"}),
        ("./run.sh --help", {"BASHOPTS": "failglob:nocasematch"}),
        ("./run.sh --help", {"BASH_ENV": f"{tmp_path}/site"}), ("./run.sh --help", {"POSIXLY_CORRECT": "1"}),
        (functions + "./run.sh --help", {}), (functions + "sh run.sh --help", {}),
    ):  # fmt: skip
        # bash takes SHELLOPTS from its own environment
        assert said(ravdess, f"bash -c {shlex.quote(command)}", ravdess.directory, **environment) == wanted
    for command in (". ./run.sh", "bash < run.sh"):
        done = subprocess.run(
            ["bash", "-c", command], cwd=ravdess.directory, env=ravdess.environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, ""), command
        assert (
            done.stderr == "error: a recipe is started, as ./run.sh; it is not sourced, nor read from standard input\n"
        )
    done = subprocess.run(["sh", "-c", ". ./path.sh"], cwd=ravdess.directory, capture_output=True, text=True)
    if done.stderr:  # sh may be bash
        assert (done.returncode, done.stderr) == (
            1, "path.sh: this shell is not bash: start bash, and source path.sh there\n"
        )  # fmt: skip


def test_files_are_found_from_where_a_recipe_is_started(ravdess: Recipe, tmp_path: Path) -> None:
    (tmp_path / "here/corpus").mkdir(parents=True)
    command = ["bash", str(ravdess.directory / "run.sh"), "--stage", "1", "--stop-stage", "1", "--corpus", "corpus"]

    def told() -> str:
        done = subprocess.run(command, cwd=tmp_path / "here", env=ravdess.environment, capture_output=True, text=True)
        assert done.returncode != 0
        return done.stdout + done.stderr

    assert f"run.sh: --corpus is {tmp_path}/here/corpus\n" in told()
    (ravdess.directory / "corpus").mkdir()
    assert "--corpus corpus: there is one in" in told()


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("--corpora", "ravdess=a nemo=/data/b  cremad=none", "ravdess=HERE/a nemo=/data/b cremad=none"),
        ("--speech", "mine=c.jsonl+/x.jsonl+d/e.jsonl", "mine=HERE/c.jsonl+/x.jsonl+HERE/d/e.jsonl"),
        ("--others", "x=a,d/e.jsonl,none", "x=HERE/a,HERE/d/e.jsonl,none"),
        ("--pretrained", "a none d", "HERE/a none HERE/d"),
        ("--corpus", "one and another", "HERE/one and another"),
        ("--other", "d", "HERE/d"),
        ("--corpora", "ravdess=/data/a  nemo=b", "ravdess=/data/a  nemo=b"),
        ("--system", "a", "a"),
    ],
)
def test_lists_of_files_are_found_likewise(tmp_path: Path, option: str, value: str, found: str) -> None:
    done = find_files(tmp_path, tmp_path / "here", option, value)
    assert done.returncode == 0, done.stderr
    assert done.stdout == found.replace("HERE", str(tmp_path / "here"))
    assert (done.stderr != "") == (found != value)


def test_a_list_holds_no_path_with_a_space(tmp_path: Path) -> None:
    for value in ("mine=a", "one and another"):
        done = find_files(tmp_path, tmp_path / "my own", "--corpora", value)
        assert done.returncode == 2
        assert "--corpora takes paths with spaces between, and " in done.stderr
    assert find_files(tmp_path, tmp_path / "my own", "--corpus", "a").stdout == f"{tmp_path}/my own/a"


def find_files(tmp_path: Path, here: Path, option: str, value: str) -> subprocess.CompletedProcess[str]:
    """What a recipe that is started in ``here`` makes of a value."""
    for name in ("a", "d/e.jsonl", "c.jsonl", "one and another"):
        (here / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "run.sh").write_text("if stage 1 'One'; then :; fi\n")
    text = (
        f"SERTOOLS_ROOT={ROOT} recipe_called_from='{here}' recipe_script={tmp_path}/run.sh; cd {tmp_path}; "
        f". {ROOT}/utils/recipe.sh; recipe_state=finished; value='{value}'; recipe_find_file {option} >&2; "
        'printf %s "$value"'
    )
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True)


def test_a_copy_outside_of_egs(ravdess: Recipe, tmp_path: Path) -> None:
    shutil.copytree(ravdess.directory, tmp_path / "mine")
    # sbatch run.sh starts a copy in a folder of Slurm's, from the recipe's
    spool = tmp_path / "slurmd/job00007/slurm_script"
    spool.parent.mkdir(parents=True)
    shutil.copy(ravdess.directory / "run.sh", spool)
    for script, folder in ((tmp_path / "mine/run.sh", tmp_path / "mine"), (spool, ravdess.directory)):
        done = subprocess.run([script, "--help"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 1
        where, what = done.stderr.splitlines()
        assert "common/begin.sh: No such file or directory" in where
        assert what == f"{script} is not in a folder of egs/; on Slurm: ./run.sh --submit"


def test_scripts_begin_with_the_same_line() -> None:
    scripts = sorted((ROOT / "egs").glob("*/run*.sh"))
    assert len({line for path in scripts for line in path.read_text().splitlines() if "/begin.sh" in line}) == 1


def test_packages_of_another_python(ravdess: Recipe, tmp_path: Path) -> None:
    (tmp_path / "site/yaml").mkdir(parents=True)
    (tmp_path / "site/yaml/__init__.py").write_text("raise ImportError('yaml of another Python')\n")
    environment = {**ravdess.environment, "PYTHONPATH": f"{tmp_path}/site"}
    command = [
        "bash",
        "-c",
        f". {ROOT}/path.sh; echo ${{PYTHONPATH-none}}; PYTHONPATH={tmp_path}/site make_folds.py -h",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "none\n"
    first, second = done.stderr.splitlines()
    assert first == f"path.sh: PYTHONPATH and PYTHONHOME are unset: {tmp_path}/site"
    assert second == (
        "error: yaml of another Python; PYTHONPATH may lead to packages of another Python: unset PYTHONPATH"
    )


def test_a_clone_has_the_ends_of_lines_that_shells_read() -> None:
    attributes = subprocess.run(
        ["git", "check-attr", "eol", "egs/ravdess/run.sh", "path.sh"], cwd=ROOT, capture_output=True, text=True
    )
    if attributes.returncode:
        pytest.skip("no git, or no clone of it")
    assert attributes.stdout == "egs/ravdess/run.sh: eol: lf\npath.sh: eol: lf\n"


# -- where settings are from


@pytest.mark.parametrize(
    "recipe_name",
    ["iemocap", "msp_improv", "msp_podcast", "ravdess", "tedlium2", "librispeech", "own", "cremad", "nemo"],
)
def test_what_a_recipe_overlays_is_there_to_be_overlaid(recipe_name: str) -> None:
    """A name that is written wrong in conf/ or in demo.yaml would change nothing."""
    conf, common = ROOT / "egs" / recipe_name / "conf", ROOT / "egs/common/conf"
    files = [path for folder in (common, conf) for path in folder.glob("*/*.yaml")]
    known = {path.stem for path in files} | {f"{path.parent.name}/{path.stem}" for path in files}
    for path in conf.glob("*/*.yaml"):
        text = path.read_text()
        if path.parent.name not in ("folds", "corpora"):
            assert text.startswith("# Over ") == (common / path.relative_to(conf)).exists(), path
    if (conf / "demo.yaml").exists():
        folds = {path.stem for path in conf.glob("folds/*.yaml")}
        assert set(read_yaml(conf / "demo.yaml")) <= {"corpus", *known, *folds}


def test_files_where_version_01_had_them_are_those_of_today() -> None:
    """Commands in notes and scripts of users name egs/ravdess/conf/mfcc.yaml."""
    for recipe, folds in (("iemocap", "paper"), ("ravdess", "four")):
        conf = ROOT / "egs" / recipe / "conf"
        links = {path.name: path.resolve() for path in conf.iterdir() if path.is_symlink()}
        assert {"mfcc.yaml", "fbank.yaml", "tdnn.yaml", f"folds_{folds}.yaml"} < set(links)
        for name, target in links.items():
            assert target.is_relative_to(ROOT / "egs")
            # a base would be looked for beside the link
            assert read_yaml(target), name
            assert "base" not in read_yaml(target), name


def test_papers_scripts_are_short() -> None:
    scripts = sorted((ROOT / "egs").glob("*/run*.sh"))
    # those of these two train recognisers
    papers = [script for script in scripts if script.parent.name not in ("tedlium2", "librispeech")]
    assert len(papers) >= 4
    assert [script for script in papers if len(script.read_text().splitlines()) >= 90] == []
