#!/usr/bin/env bash
# S3 on your own recordings: emotion from hidden layers of a pretrained speech model.
#
#   ./run_s3.sh --table my.csv --audio recordings/ --backbone /models/wav2vec2-base
#   ./run_s3.sh --table my.csv --audio recordings/ --backbone DIR --gpu 1 --layers none --system "s3_sum s3_finetune"
#
# The options of the table are those of run.sh (README.md); manifests that run.sh made are used as they are.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

own_options
option backbone ""      "folder of a pretrained model (docs/backbones.md)"
option text_backbone "" "folder of a BERT or its like, for systems that read words (s3a_words, s3a_speech_words)"
option recogniser ""    "an acoustic-to-word experiment, for systems on recognised words (s3a_recognised_words, ...)"
option pretrained ""    "an LF-MMI experiment of egs/tedlium2, for s3b_acoustic_one_stage and s3b_acoustic_two_stage"
option system ""        "what is trained: conf/s3/SYSTEM.yaml, the first compared with each other; empty: those on frozen layers, with --gpu more"
option layers ""        "those that are systems of their own, \"0 6 12\"; empty: all; none: none"
option curve ""         "conf/folds/PROTOCOL.yaml with other amounts of training data, for stage 7; empty: none"
option curve_system ""  "systems of the learning curves; empty: s3a_speech, s3_sum, s3_random, and s3a_functionals if openSMILE is there"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option train_nj 2       "jobs that share a system's trainings (folds x seeds)"
parse_options "$@"

own_names

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s3.sh
