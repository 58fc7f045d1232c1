"""Kinds of bad input: what the user did, and what to do about it.  What is said is in docs/errors.md.

Each case runs in a folder with what material.py makes (corpora/, data/, exp/tdnn, conf/), after ``spoil`` has
changed something there.  A command is a program of local/, or sertools, or ./run.sh of ``recipe``.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spoil import (
    FOLDS,
    Spoil,
    a_segment_too_late,
    a_talk_of_dev_in_train,
    another_phone,
    audio,
    copy,
    cut_short,
    folds,
    foreign,
    in_all,
    in_first,
    manifest,
    nothing,
    predictions,
    read_only,
    remove,
    replace,
    replace_bytes,
    second,
    speaker_in_two_parts,
    write,
)

IEMOCAP = "corpora/iemocap/IEMOCAP_full_release"
TEDLIUM = "corpora/tedlium2/TEDLIUM_release2"
CUTS, SUPERVISIONS = "data/manifests/iemocap_cuts_all.jsonl.gz", "data/manifests/iemocap_supervisions_all.jsonl.gz"
FEATURES = "data/mfcc/cuts.jsonl.gz"
ASR_CUTS, ASR_FEATURES = "data/manifests_asr/tedlium2_cuts_train.jsonl.gz", "data/mfcc_asr/cuts.jsonl.gz"
MY_ASR_CUTS = f"mine/{Path(ASR_CUTS).name}"
MY_FEATURES = f"mine/{Path(FEATURES).name}"

PREPARE = "prepare_corpus.py iemocap corpora/iemocap out"
PREPARE_ASR = "prepare_corpus.py tedlium2 corpora/tedlium2 out"
MFCC = "compute_features.py --config conf/mfcc.yaml"
MAKE_FOLDS = f"make_folds.py --config conf/folds.yaml --supervisions {SUPERVISIONS} out"
MY_CUTS, MY_SUPERVISIONS = f"mine/{Path(CUTS).name}", f"mine/{Path(SUPERVISIONS).name}"
MY_FOLDS = f"make_folds.py --config conf/folds.yaml --supervisions {MY_SUPERVISIONS} out"
TRAIN = f"train_emotion.py --config conf/tdnn.yaml --cuts {FEATURES} --folds data/folds/paper"
PREDICT = "sertools predict --experiment exp/tdnn"


@dataclass(frozen=True)
class Case:
    """A kind of bad input.

    Attributes:
        group: heading in the table.
        did: what the user did.
        command: what was typed.
        todo: what to do.
        spoil: makes it bad, in a copy of the material.
        recipe: of ./run.sh.
        powerless: root's power to write anywhere is given up.
        code: the exit code.
    """

    group: str
    did: str
    command: str
    todo: str
    spoil: Spoil = nothing
    recipe: str = ""
    powerless: bool = False
    code: int = 1


RUN = "Options of a recipe"
CONF = "Configuration files"
CORPUS = "Corpora"
MANIFEST = "Manifests and features"
FOLD = "Folds and class sets"
SYSTEM = "Training, scoring, prediction"
SPEECH = "Transcripts, lexicons, LF-MMI"
DISK = "Disk and machine"

WAV = f"{IEMOCAP}/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
LABELS = f"{IEMOCAP}/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
PROMPT = b"Please enter your password, then press the pound key. "
TEXTS = f"{IEMOCAP}/Session1/dialog/transcriptions/Ses01F_impro01.txt"

CASES = [
    Case(
        RUN,
        "a typing error in an option",
        "./run.sh --copus /data/RAVDESS",
        "correct it; `./run.sh --help` lists them",
        recipe="ravdess",
        code=2,
    ),
    Case(RUN, "a word where a number is needed", "./run.sh --nj two", "give a number", recipe="ravdess", code=2),
    Case(RUN, "no trainings", "./run.sh --num-seeds 0", "at least one seed", recipe="ravdess", code=2),
    Case(RUN, "a system twice", "./run.sh --system 'tdnn tdnn'", "name it once", recipe="ravdess", code=2),
    Case(RUN, "a recipe that is sourced", "bash -c '. ./run.sh'", "start it", recipe="ravdess", code=2),
    Case(
        RUN,
        "`yes` for `true`",
        "./run.sh --corpus /data/RAVDESS --skip-bad yes",
        "true or false",
        recipe="ravdess",
        code=2,
    ),
    Case(
        RUN,
        "an option without its value",
        "./run.sh --corpus --stage 2",
        "give it; a value that begins with `--` is written `--corpus=--x`",
        recipe="ravdess",
        code=2,
    ),
    Case(
        RUN,
        "a stage that does not exist",
        "./run.sh --stage 12",
        "`./run.sh --help` lists the stages",
        recipe="ravdess",
        code=2,
    ),
    Case(
        RUN,
        "stages the wrong way round",
        "./run.sh --stage 5 --stop-stage 3",
        "exchange them",
        recipe="ravdess",
        code=2,
    ),
    Case(RUN, "no corpus given", "./run.sh", "give its folder", recipe="ravdess", code=2),
    Case(RUN, "a corpus that is not there", "./run.sh --corpus /data/RAVDES", "correct the path", recipe="ravdess"),
    Case(
        RUN,
        "an unknown system",
        "./run.sh --stage 6 --system tdn",
        "take one of those, or write conf/s1/NAME.yaml",
        recipe="ravdess",
    ),
    Case(
        RUN,
        "a system outside of conf/",
        "./run.sh --stage 6 --system ../tdnn",
        "put it into conf/",
        recipe="ravdess",
        code=2,
    ),
    Case(
        RUN,
        "a path with JOB in it",
        "./run.sh --pretrained /data/JOBS/net",
        "make a link with another name",
        recipe="ravdess",
        code=2,
    ),
    Case(
        RUN,
        "an unknown protocol",
        "./run.sh --stage 2 --stop-stage 2 --pretrained none --ivectors '' --protocol loso",
        "take one of conf/folds/, or write it",
        recipe="iemocap",
    ),
    Case(
        RUN,
        "a pretrained network that is not there",
        "./run.sh --stage 5 --pretrained ../tedlium2/exp/tdnnf",
        "train it first, or correct the path",
        recipe="ravdess",
        spoil=write("egs/ravdess/data/mfcc/cuts.jsonl.gz", gzip.compress(b"{}")),
    ),
    Case(
        RUN,
        "a launcher that this machine lacks, in cmd.sh",
        "./run.sh --corpus /data/RAVDESS",
        "set `launcher` in cmd.sh to `launch.py local`",
        recipe="ravdess",
        spoil=replace("egs/ravdess/cmd.sh", 'launcher="launch.py local"', 'launcher="queue.pl"'),
        code=127,
    ),
    Case(RUN, "an environment that is not there", "SERTOOLS_ENV=/opt/sertools ./run.sh", "make it", recipe="ravdess"),
    Case(
        CONF,
        "a typing error in a key",
        MAKE_FOLDS,
        "correct it",
        write("conf/folds.yaml", "class_set: s1\nprotocoll: strict\n"),
    ),
    Case(
        CONF,
        "a value of the wrong type",
        f"{TRAIN} --fold 1 --seed 1 out",
        "correct it",
        replace("conf/tdnn.yaml", "epochs: 1", "epochs: many"),
    ),
    Case(
        CONF,
        "a class called no, which YAML reads as a truth value",
        MAKE_FOLDS,
        "put it in quotes",
        write("conf/folds.yaml", "protocol: paper\ntarget: {field: valence, edges: [3], classes: [no, yes]}\n"),
    ),
    Case(
        CONF,
        "a number that is none",
        f"{TRAIN} --fold 1 --seed 1 --set training.learning_rate=.nan out",
        "correct it",
    ),
    Case(
        CONF,
        "a proportion above one",
        f"{TRAIN} --fold 1 --seed 1 --set dropout=0,0@0.2,50@0.5,0 out",
        "write 0.5 for 50 %",
    ),
    Case(
        CONF,
        "a value out of range",
        MAKE_FOLDS,
        "correct it",
        write("conf/folds.yaml", "class_set: s1\nprotocol: random\nnum_folds: 2\n"),
    ),
    Case(
        CONF,
        "a file that is not YAML",
        MAKE_FOLDS,
        "correct the line that is named",
        write("conf/folds.yaml", "class_set: s1\n  protocol: [strict\n"),
    ),
    Case(
        CONF,
        "a file that is not there",
        f"make_folds.py --config conf/fold.yaml --supervisions {SUPERVISIONS} out",
        "correct the name",
    ),
    Case(
        CONF,
        "a base that is not there",
        MAKE_FOLDS,
        "correct it",
        write("conf/folds.yaml", "base: fold.yaml\nprotocol: strict\n"),
    ),
    Case(
        CONF,
        "two files, each based on the other",
        MAKE_FOLDS,
        "take one `base` out",
        second(write("conf/folds.yaml", "base: other.yaml\n"), write("conf/other.yaml", "base: folds.yaml\n")),
    ),
    Case(CONF, "a setting without a value", f"{MAKE_FOLDS} --set protocol", "write --set protocol=strict"),
    Case(
        CONF,
        "a layer that the network lacks",
        f"{TRAIN} --fold 1 --seed 1 --set model.layers=[tdnnf9] out",
        "take one of those named",
    ),
    Case(
        CORPUS,
        "an empty folder",
        "prepare_corpus.py iemocap empty out",
        "correct the path, or unpack the corpus",
        lambda folder: (folder / "empty").mkdir(),
    ),
    Case(CORPUS, "the folder of another corpus", "prepare_corpus.py ravdess corpora/iemocap out", "correct the path"),
    Case(CORPUS, "an audio file of 0 bytes", PREPARE, "copy the corpus again, or leave it out", write(WAV, "")),
    Case(CORPUS, "an audio file that is cut short", PREPARE, "likewise", cut_short(WAV, 1000)),
    Case(CORPUS, "another sampling rate", PREPARE, "take the original corpus", audio(WAV, np.zeros(8000), 8000)),
    Case(CORPUS, "stereo instead of mono", PREPARE, "likewise", audio(WAV, np.zeros((16000, 2)))),
    Case(
        CORPUS,
        "samples that are not numbers (NaN)",
        PREPARE,
        "likewise",
        audio(WAV, np.full(16000, np.nan), subtype="FLOAT"),
    ),
    Case(CORPUS, "a file that is no audio", PREPARE, "likewise", write(WAV, "This page has moved.\n" * 99)),
    Case(CORPUS, "an audio file that is missing", PREPARE, "likewise", remove(WAV)),
    Case(CORPUS, "a file of transcripts that is missing", PREPARE, "likewise", remove(TEXTS)),
    Case(
        CORPUS,
        "a label that the corpus does not have",
        PREPARE,
        "likewise",
        replace(LABELS, "Ses01F_impro01_F000\tneu", "Ses01F_impro01_F000\tjoy"),
    ),
    Case(
        CORPUS,
        "an utterance that is there twice",
        PREPARE,
        "likewise",
        replace(
            TEXTS,
            "Ses01F_impro01_F000 ",
            "Ses01F_impro01_F000 [000.1000-000.2000]: A.\nSes01F_impro01_F000 ",
            "latin-1",
        ),
    ),
    Case(
        CORPUS,
        "a .sph file without its header",
        PREPARE_ASR,
        "likewise",
        replace_bytes(f"{TEDLIUM}/dev/sph/*.sph", lambda content: content[1024:]),
    ),
    Case(
        CORPUS,
        "times of a transcript beyond the audio",
        PREPARE_ASR,
        "likewise",
        a_segment_too_late,
    ),
    Case(
        CORPUS,
        "a talk of dev that is in train, too",
        PREPARE_ASR,
        "take it out of train, or leave it to the option to do so",
        a_talk_of_dev_in_train,
    ),
    Case(
        CORPUS,
        "a text that is too long for its audio",
        PREPARE,
        "correct it, or leave it out",
        replace_bytes(TEXTS, lambda content: content.replace(b"]: ", b"]: " + 3 * PROMPT, 1)),
    ),
    Case(
        MANIFEST,
        "a manifest that no stage has made yet",
        f"{MFCC} data/manifests/ravdess_cuts_all.jsonl.gz out",
        "run the stage that is named",
    ),
    Case(
        MANIFEST,
        "a stage's manifest that was changed or damaged",
        f"{MFCC} {CUTS} out",
        "run its stage again; to change one, make a copy elsewhere",
        cut_short(CUTS, 200),
    ),
    Case(
        MANIFEST,
        "a manifest called .gz that is not compressed",
        f"{MFCC} {MY_CUTS} out",
        "`gzip` it, or take .gz off its name",
        second(copy(CUTS, MY_CUTS), replace_bytes(MY_CUTS, gzip.decompress)),
    ),
    Case(
        MANIFEST,
        "a manifest that is cut short",
        f"{MFCC} {MY_CUTS} out",
        "make it again",
        second(copy(CUTS, MY_CUTS), cut_short(MY_CUTS, 200)),
    ),
    Case(MANIFEST, "an empty manifest", f"{MFCC} {MY_CUTS} out", "make it again", write(MY_CUTS, gzip.compress(b""))),
    Case(
        MANIFEST,
        "another format",
        f"{MFCC} files.csv out",
        "make a Lhotse manifest",
        write("files.csv", "a.wav,happy\n"),
    ),
    Case(MANIFEST, "another kind of manifest", f"{MFCC} {SUPERVISIONS} out", "give the cuts"),
    Case(
        MANIFEST,
        "a cut that is there twice",
        f"{MFCC} {MY_CUTS} out",
        "give every cut an id of its own",
        manifest(CUTS, lambda lines: lines.append(lines[0])),
    ),
    Case(
        MANIFEST,
        "audio from a shell command",
        f"{MFCC} {MY_CUTS} out",
        "write it to files first",
        manifest(
            CUTS, in_first(lambda cut: cut["recording"]["sources"][0].update(type="command", source="sox in.wav -"))
        ),
    ),
    Case(
        MANIFEST,
        "audio that was moved",
        f"{MFCC} {MY_CUTS} out",
        "prepare the corpus again",
        manifest(CUTS, in_first(lambda cut: cut["recording"]["sources"][0].update(source="/data/old/F000.wav"))),
    ),
    Case(
        MANIFEST,
        "audio that was spoilt after it was checked (NaN)",
        f"{MFCC} {MY_CUTS} out",
        "prepare the corpus again",
        second(
            audio("nan.wav", np.full(31629, np.nan), subtype="FLOAT"),
            manifest(CUTS, in_first(lambda cut: cut["recording"]["sources"][0].update(source="nan.wav"))),
        ),
    ),
    Case(
        MANIFEST,
        "cuts without features",
        f"{TRAIN.replace(FEATURES, CUTS)} --fold 1 --seed 1 out",
        "give those of the feature stage",
    ),
    Case(
        MANIFEST,
        "cuts without a supervision",
        f"{TRAIN.replace(FEATURES, MY_FEATURES)} --fold 1 --seed 1 out",
        "keep the supervisions",
        manifest(FEATURES, in_all(lambda cut: cut.update(supervisions=[]))),
    ),
    Case(
        MANIFEST,
        "features whose archive is gone",
        f"{TRAIN.replace(FEATURES, MY_FEATURES)} --fold 1 --seed 1 out",
        "run the feature stage again",
        manifest(
            FEATURES,
            in_all(lambda cut: cut["features"].update(storage_path="data/mfcc/old.lca")),
        ),
    ),
    Case(
        FOLD,
        "a class set of another corpus",
        MAKE_FOLDS,
        "take one of those named",
        write("conf/folds.yaml", "class_set: eight\n"),
    ),
    Case(
        FOLD,
        "too few sessions",
        MY_FOLDS,
        "prepare the whole corpus, or take protocol random",
        manifest(SUPERVISIONS, lambda lines: [line for line in lines if line["custom"]["session"] == "Session1"]),
    ),
    Case(
        FOLD,
        "folds in which a speaker both trains and is dev",
        f"{TRAIN} --fold 1 --seed 1 out",
        "make them by make_folds.py",
        folds(speaker_in_two_parts),
    ),
    Case(
        FOLD,
        "folds with an utterance that nobody knows",
        f"{TRAIN} --fold 1 --seed 1 out",
        "likewise",
        folds(lambda values: values["folds"][0]["test"].append("Ses09F_impro01_F000")),
    ),
    Case(
        FOLD,
        "folds of other manifests than the features",
        f"{TRAIN.replace(FEATURES, MY_FEATURES)} --fold 1 --seed 1 out",
        "run the stages again",
        manifest(FEATURES, lambda lines: lines[5:]),
    ),
    Case(
        FOLD,
        "a file that is not JSON",
        f"{TRAIN} --fold 1 --seed 1 out",
        "make it again",
        second(write(FOLDS, "{"), remove("data/folds/paper/stamp.json")),
    ),
    Case(FOLD, "a fold that does not exist", f"{TRAIN} --fold Session9 --seed 1 out", "take one of those named"),
    Case(SYSTEM, "a job number out of range", f"{TRAIN} --job 3 --num-jobs 2 out", "jobs count from 1"),
    Case(SYSTEM, "the same, of features", f"{MFCC} --job 3 --num-jobs 2 {CUTS} out", "jobs count from 1"),
    Case(SYSTEM, "a seed below 0", f"{TRAIN} --fold 1 --seed -1 out", "seeds count from 0", code=2),
    Case(SYSTEM, "no GPU where one is asked for", f"{TRAIN} --fold 1 --seed 1 --device cuda out", "leave --device out"),
    Case(
        SYSTEM,
        "a checkpoint of another kind of network",
        f"{TRAIN} --pretrained exp/tdnn/fold_Session1/seed_1/checkpoint --fold 1 --seed 1 out",
        "give one of egs/tedlium2",
    ),
    Case(
        SYSTEM,
        "a checkpoint whose weights are cut short",
        f"{PREDICT} {WAV}",
        "copy or train it again",
        cut_short("exp/tdnn/fold_Session1/seed_1/checkpoint/model.safetensors", 40),
    ),
    Case(
        SYSTEM, "a folder that is no experiment", f"sertools predict --experiment data {WAV}", "give the folder in exp/"
    ),
    Case(
        SYSTEM,
        "predictions without a class",
        "score.py mine",
        "make the table as those of train_emotion.py",
        predictions(lambda text: text.replace(",p_sad", "", 1)),
    ),
    Case(
        SYSTEM,
        "predictions that are no probabilities",
        "score.py mine",
        "divide each row by its sum",
        predictions(lambda text: text.rstrip().rsplit(",", 4)[0] + ",0.25,0.25,0.25,7\n"),
    ),
    Case(
        SYSTEM,
        "predictions with an utterance twice",
        "score.py mine",
        "keep one",
        predictions(lambda text: text + text.splitlines()[-1] + "\n"),
    ),
    Case(
        SYSTEM,
        "a comparison of different folds",
        "compare.py --output out A=mine B=exp/tdnn",
        "train both on the same folds",
        predictions(lambda text: text.replace(",Session1,", ",Session3,"), "fold_Session3"),
    ),
    Case(
        SYSTEM,
        "a comparison of what was not trained to the end",
        "compare.py --folds data/folds/paper --output out A=exp/tdnn B=exp/tdnn_2",
        "train the rest",
        copy("exp/tdnn", "exp/tdnn_2"),
    ),
    Case(SYSTEM, "an experiment without a result", "score.py exp/none", "train it first"),
    Case(SYSTEM, "a text instead of speech", f"{PREDICT} notes.txt", "give audio", write("notes.txt", "hello\n")),
    Case(SYSTEM, "speech that is not there", f"{PREDICT} speech.wav", "correct the path"),
    Case(SYSTEM, "a folder without speech", f"{PREDICT} conf", "correct the path"),
    Case(
        SYSTEM,
        "a foreign checkpoint that would run something",
        "convert_checkpoint.py model.pth out.safetensors",
        "take the part with the tensors, as it says",
        foreign,
    ),
    Case(
        SPEECH,
        "a dictionary that is not there",
        f"prepare_lang.py --config conf/lang.yaml --dictionary words.dic {ASR_CUTS} out",
        "correct the path",
    ),
    Case(
        SPEECH,
        "a dictionary without pronunciations",
        f"prepare_lang.py --config conf/lang.yaml --dictionary words.txt {ASR_CUTS} out",
        "a word and its phones on each line",
        write("words.txt", "hello\nworld\n"),
    ),
    Case(
        SPEECH,
        "words without a pronunciation, all of them",
        f"prepare_lang.py --config conf/lang.yaml --dictionary words.txt {ASR_CUTS} out",
        "take a dictionary of the language",
        write("words.txt", "xyzzy Z IH Z IY\n"),
    ),
    Case(
        SPEECH,
        "cuts without transcripts",
        f"prepare_lang.py --config conf/lang_characters.yaml {MY_ASR_CUTS} out",
        "transcribe them, or leave them out",
        manifest(ASR_CUTS, in_first(lambda cut: cut["supervisions"][0].pop("text"))),
    ),
    Case(
        SPEECH,
        "no text at all",
        "prepare_lang.py --config conf/lang_characters.yaml empty.txt out",
        "give another",
        write("empty.txt", "\n"),
    ),
    Case(
        SPEECH,
        "a language model that is not ARPA",
        "make_decoding_graph.py data/graphs data/lang lm.arpa out",
        "give another",
        write("lm.arpa", "hello world\n"),
    ),
    Case(
        SPEECH,
        "graphs of another lexicon than the one given",
        f"train_asr.py --config conf/tdnnf.yaml --lang lang"
        f" --graphs data/graphs --cuts {ASR_FEATURES} --dev {ASR_FEATURES} out",
        "make them again, with this lexicon",
        second(copy("data/lang", "lang"), remove("lang/stamp.json"), another_phone),
    ),
    Case(
        SPEECH,
        "utterances that are all too short for their words",
        "train_asr.py --config conf/tdnnf.yaml --lang data/lang"
        f" --graphs data/graphs --cuts {MY_FEATURES} --dev {ASR_FEATURES} out",
        "as it says",
        manifest(
            ASR_FEATURES,
            in_all(lambda cut: cut["supervisions"][0].update(text=" ".join(["and"] * 900))),
        ),
    ),
    Case(
        DISK,
        "a folder that may not be written",
        MAKE_FOLDS,
        "change its permissions, or give another",
        read_only,
        powerless=True,
    ),
    Case(DISK, "a file where a folder is needed", MAKE_FOLDS, "give another name", write("out", "")),
    Case(
        DISK,
        "a file that may not be read",
        MAKE_FOLDS,
        "change its permissions",
        lambda folder: (folder / SUPERVISIONS).chmod(0),
        powerless=True,
    ),
]
