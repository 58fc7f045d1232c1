#!/usr/bin/env bash
# S2 on your own recordings: speaker recognition carried to emotion, by fine-tuning and by progressive networks.
#
#   ./run_s2.sh --table my.csv --audio recordings/
#   ./run_s2.sh --table my.csv --audio recordings/ --sources "speaker gender" --system "dnn ptft_gender prognet_both"
#
# The options of the table are those of run.sh (README.md); manifests that run.sh made are used as they are.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

own_options
option system "dnn ptft_speaker prognet_speaker dnn_wide prognet_random svm" \
                        "what is trained: conf/s2/SYSTEM.yaml"
option against first    "what is compared: first (each with the first of --system), all (all pairs)"
option sources "speaker" "columns whose networks are trained first, for systems whose names end in them"
option other ""         "the dnn experiment of another corpus, same protocol name, for ptft_other and prognet_other"
option others ""        "NAME=CHECKPOINT ...: dnn networks of any corpora, for ptft_NAME and prognet_NAME"
option num_seeds 1      "trainings of every fold, with seeds 1 to N; one seed can mislead: for a paper take 5"
option train_nj 2       "jobs that share a system's trainings (folds x seeds)"
parse_options "$@"

own_names

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s2.sh
