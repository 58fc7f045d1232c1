#!/usr/bin/env bash
# S4 on your own recordings: emotion from speech, words (a column text), and a recogniser's states.
#
#   ./run_s4.sh --table my.csv --audio recordings/ --recogniser ../librispeech/exp/a2w
#   ./run_s4.sh --table my.csv --audio recordings/ --system "s4_audio s4_text"      which need no recogniser
#
# The options of the table are those of run.sh (README.md); manifests that run.sh made are used as they are.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

own_options
option recogniser ""    "an acoustic-to-word experiment of egs/librispeech or egs/tedlium2"
option system "s4_audio s4_text s4_asr_ser" \
                        "what is trained: conf/s4/SYSTEM.yaml; the first is compared with each other"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option train_nj 2       "jobs that share a system's trainings (folds x seeds)"
parse_options "$@"

own_names

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s4.sh
