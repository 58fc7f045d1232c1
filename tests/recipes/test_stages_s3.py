"""egs/common/stages/learned.sh: what S3's systems are trained on, as the programs that would be run say it."""

import os
import subprocess
from pathlib import Path

import pytest
from recipe_copy import ROOT

SETTINGS = """
for stages in {root}/egs/common/stages/*.sh; do . "$stages"; done
recipe_error() {{ echo "error: $1"; exit 0; }}
count_runs.py() {{ echo 6; }}
cuda_cmd='echo RUN' train_cmd='echo RUN'
data=D results=exp/ dataset=ravdess paper=s3 protocol=four nj=1 train_nj=1 gpu=0
num_seeds=1 layers=none backbone=/m/w2v text_backbone= recogniser= pretrained= curve_system= system=
"""


def would_run(commands: str, **variables: str) -> list[str]:
    """The command lines of stages, without those that collect features."""
    told = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    script = SETTINGS.format(root=ROOT) + told + "backbone_inputs\n" + commands
    done = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, cwd=ROOT / "egs/ravdess")
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line.startswith(("RUN", "error")) and "collect" not in line]


def test_fine_tuning_by_default_only_where_there_is_a_gpu() -> None:
    assert "s3_finetune" not in " ".join(would_run("train_on_layers"))
    trained = [line for line in would_run("train_on_layers", gpu="1") if "s3_finetune" in line]
    assert len(trained) == 2
    for line in trained:
        assert "--backbone /m/w2v --cuts D/manifests/ravdess_cuts_all.jsonl.gz" in line


def test_s3a_by_default_and_its_words_where_they_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{\n  "num_hidden_layers": 12,\n  "vocab_size": 32\n}\n')
    systems = "\n".join(would_run("train_on_layers", backbone=str(tmp_path)))
    assert "s3a_speech_9_" in systems
    assert "s3_sum_fast_four_" in systems
    assert "s3_sum_fast_speaker_" in systems
    assert "s3_sum_raw" not in systems
    assert "words" not in systems
    systems = "\n".join(would_run("train_on_layers", backbone=str(tmp_path), text_backbone="/m/bert"))
    assert "s3a_speech_words_9_" in systems
    assert "recognised" not in systems


def test_the_demo_is_spared_what_is_recommended_for_real_speech() -> None:
    systems = "\n".join(would_run("train_on_layers", demo="true"))
    assert "s3_sum_four_" in systems
    assert "s3_sum_fast" not in systems


def test_layers_on_the_fly_are_not_stored() -> None:
    (trained,) = would_run("train_on_layers", system="s3_sum_on_the_fly")
    assert "--backbone /m/w2v --cuts D/manifests/ravdess_cuts_all.jsonl.gz" in trained


def test_continued_pretraining_is_of_each_fold_alone() -> None:
    lines = would_run("continue_backbone\ntrain_on_layers", system="s3_finetune_tapt s3_finetune")
    assert len(lines) == 3
    assert "JOB=1:6" in lines[0]
    assert "--config ../common/conf/s3/tapt.yaml" in lines[0]
    assert "--folds D/folds/four --fold-number JOB --init /m/w2v" in lines[0]
    assert lines[0].endswith("D/continued/four_from_w2v/FOLD")
    assert "--backbone D/continued/four_from_w2v/FOLD/backbone" in lines[1]
    assert "--backbone /m/w2v" in lines[2]
    assert would_run("continue_backbone", system="s3_sum") == []
    (own,) = would_run("continue_backbone", system="s3_finetune_tapt", backbone="exp/hubert/backbone")
    assert "D/continued/four_from_hubert/FOLD" in own


def test_s3b_for_backbones_and_acoustic_models_alike() -> None:
    systems = ["s3b_cnn", *(f"s3b_{of}_{stage}_stage" for of in ("backbone", "acoustic") for stage in ("one", "two"))]
    options = {"system": " ".join(systems), "pretrained": "../tedlium2/exp/tdnnf_1g"}
    lines = would_run("extract_layers\ntrain_on_layers", **options)
    kinds = [kind for line in lines[:3] for kind in ("logmel", "mfcc", "ssl") if f"features/{kind}.yaml" in line]
    assert sorted(kinds) == ["logmel", "mfcc", "ssl"]
    cnn, one, two, three, four = lines[3:]
    assert "--cuts D/logmel/cuts.jsonl.gz" in cnn
    assert "--backbone" not in cnn
    for line in (one, two):
        assert "--backbone /m/w2v --cuts D/manifests" in line
    for line in (three, four):
        assert "--pretrained ../tedlium2/exp/tdnnf_1g/checkpoint --cuts D/mfcc/cuts.jsonl.gz" in line
    (refused,) = would_run("features_of s3b_acoustic_one_stage")
    assert "needs --pretrained" in refused


def test_what_only_curves_read_is_made_with_them() -> None:
    options = {"system": "s3_sum s3_finetune", "curve_system": "s3_sum s3a_speech s3_random"}
    assert len(would_run("extract_layers", **options)) == 1
    lines = would_run("extract_for_curves", **options)
    made = [kind for line in lines for kind in ("ssl", "ssl_frames", "ssl_random") if f"/{kind}.yaml" in line]
    assert made == ["ssl_frames", "ssl_random"]
    assert would_run("extract_for_curves", **options | {"curve_system": "s3_sum"}) == []


def test_words_in_time_are_features_of_their_own() -> None:
    options = {"system": "s3a_speech_words_timed", "text_backbone": "/m/bert"}
    lines = would_run("extract_layers\ntrain_on_layers", **options)
    (times,) = [line for line in lines if "features/word_times.yaml" in line]
    assert times.endswith("D/manifests/ravdess_cuts_all.jsonl.gz D/word_times")
    assert any("features/text.yaml" in line for line in lines)
    assert "--cuts D/text/bert/cuts.jsonl.gz --cuts D/word_times/cuts.jsonl.gz --cuts D/ssl_frames/w2v" in lines[-1]


def test_words_as_told_and_as_recognised(tmp_path: Path) -> None:
    (tmp_path / "a2w/checkpoint").mkdir(parents=True)
    systems = "s3a_speech s3a_words s3a_speech_recognised_words"
    options = {"system": systems, "text_backbone": "/m/bert/", "recogniser": f"{tmp_path}/a2w"}
    lines = would_run("extract_layers\ntrain_on_layers", **options)
    (heard,) = [line for line in lines if "decode_a2w.py" in line]
    assert heard.endswith(f"{tmp_path}/a2w/checkpoint D/fbank/cuts.jsonl.gz D/a2w/a2w")
    (recognised,) = [line for line in lines if "features/recognised_text.yaml" in line]
    assert "--input backbone=/m/bert/ --input transcripts=D/a2w/a2w/transcripts.csv" in recognised
    speech, told, both = lines[-3:]
    assert "text" not in speech
    assert "--cuts D/text/bert/cuts.jsonl.gz --cuts D/ssl_frames/w2v/cuts.jsonl.gz" in told
    assert "--cuts D/recognised_text/bert_from_a2w/cuts.jsonl.gz --cuts D/ssl_frames/w2v/cuts.jsonl.gz" in both
    for missing in ("text_backbone", "recogniser"):
        (*_, refused) = would_run("extract_layers", **options | {missing: ""})
        assert f"--{missing.replace('_', '-')}" in refused


@pytest.mark.parametrize("name", ["iemocap", "ravdess", "nemo", "cremad"])
def test_scripts_have_the_options_that_stages_read(name: str) -> None:
    text = (ROOT / f"egs/{name}/run_s3.sh").read_text()
    for option in ("backbone", "pretrained", "system", "layers", "curve_system", "protocol", "nj", "gpu"):
        assert f"option {option} " in text, option
    assert ("option recogniser" in text) == ("option text_backbone" in text) == (name != "ravdess")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"system": "s3_sum s3_sum"}, "--system: s3_sum is there twice"),
        ({"system": "s3_sum", "others": "exp/s1_four"}, "--others 'exp/s1_four': NAME=PATH is needed"),
        ({"system": "s3_sum", "others": "a=exp/x a=exp/y"}, "--others: a is there twice"),
        ({"system": "s3_sum", "others": "../a=exp/x"}, "--others ../a=exp/x: a name is needed before the ="),
    ],
)
def test_lists_are_checked_before_anything_is_computed(variables: dict[str, str], message: str) -> None:
    assert message in would_run("train_on_layers", **variables)[0]


def test_no_system_is_not_done_with() -> None:
    assert would_run("system=\ntrain_systems") == ["error: --system is empty: nothing would be trained"]


def test_a_page_by_itself_shows_nothing_old(tmp_path: Path) -> None:
    """Neither a comparison of runs that are gone, nor runs of other settings, which check_runs.py refuses."""
    made, run = tmp_path / "comparison.json", tmp_path / "s3_sum_four_from_w2v/fold_1/seed_1/predictions.csv"
    run.parent.mkdir(parents=True)
    for path in (run, made):
        path.write_text("x")
    os.utime(run, (1, 1))
    commands = f'check_runs.py() {{ echo RUN check_runs.py "$@"; }}\ncheck_current {made}'
    variables = {"results": f"{tmp_path}/", "system": "s3_sum s3_layer", "suffix": "_four_from_w2v"}
    (line,) = would_run(commands, **variables)
    assert "--config ../common/conf/s3/s3_sum.yaml" in line
    assert line.endswith(f" --of {run.parents[2]}")  # the other is not there
    os.utime(run)
    os.utime(made, (1, 1))
    (error,) = would_run(commands, **variables)
    assert (
        error == f"error: {made} is older than predictions of {run.parents[2]}: run the stage of scores and "
        "comparison again, before this one"
    )
    made.unlink()
    assert would_run(commands, **variables) == []
