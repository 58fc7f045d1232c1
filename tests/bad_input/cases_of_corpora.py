"""Bad input: corpora, manifests and features."""

import gzip

import numpy as np
from case import (
    CUTS,
    FEATURES,
    LABELS,
    MFCC,
    MY_CUTS,
    MY_FEATURES,
    PREPARE,
    PREPARE_ASR,
    PROMPT,
    SUPERVISIONS,
    TEDLIUM,
    TEXTS,
    TRAIN,
    WAV,
    Case,
)
from spoil import (
    a_segment_too_late,
    a_talk_of_dev_in_train,
    audio,
    copy,
    cut_short,
    in_all,
    in_first,
    manifest,
    remove,
    replace,
    replace_bytes,
    second,
    write,
)

CORPUS = "Corpora"
MANIFEST = "Manifests and features"

CASES = [
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
]
