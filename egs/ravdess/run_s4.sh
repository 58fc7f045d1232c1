#!/usr/bin/env bash
# S4 on RAVDESS: emotion from speech, words, and the states of an acoustic-to-word recogniser.  Each actor says the
# same two sentences in every emotion: a system that reads words must be at chance here.
#
#   ./run_s4.sh --corpus /data/RAVDESS --recogniser ../librispeech/exp/a2w
#   ./run_s4.sh --stage 5 --system "s4_audio s4_text"      which need no recogniser
#   ./run_s4.sh --stage 6 --others "tdnn=exp/tdnn_four"    beside systems of run.sh on the same folds
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of Actor_01 .. Actor_24; RAVDESS is free: zenodo record 1188976, Audio_Speech"
option skip_bad false   "go on without utterances whose audio is broken"
option recogniser ""    "an acoustic-to-word experiment of egs/librispeech or egs/tedlium2"
option system "s4_audio s4_text s4_asr_ser" \
                        "what is trained: conf/s4/SYSTEM.yaml; the first is compared with each other"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option protocol four    "conf/folds/PROTOCOL.yaml: four (angry, happy, sad, neutral), eight; four_25, ...: less to train"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=ravdess data=data results=exp/

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s4.sh
