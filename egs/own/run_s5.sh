#!/usr/bin/env bash
# S5 on your own recordings: what a target gains from networks of other tasks, all layers or the linear ones only.
#
#   ./run_s5.sh --table my.csv --audio recordings/
#   ./run_s5.sh --table my.csv --audio recordings/ --target arousal:number --system cnn14_random --sources ""
#   ./run_s5.sh --table my.csv --system "cnn14_random cnn14_audioset_all" --audioset "/models/Cnn14_16k_mAP=0.438.pth"
#
# The options of the table are those of run.sh (README.md); manifests that run.sh made are used as they are.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

own_options
option system "cnn14_random cnn14_speaker_all cnn14_speaker_linear" \
                        "what is trained: conf/s5/SYSTEM.yaml; the first is compared with each other"
option sources "speaker" "columns whose networks are trained first"
option audioset ""      "PANNs' file Cnn14_16k_mAP=0.438.pth, for cnn14_audioset_all and cnn14_audioset_linear"
option others ""        "NAME=CHECKPOINT ...: trained elsewhere, for cnn14_NAME_all and cnn14_NAME_linear"
option heard ""         "a band, such as band100: systems hear the task through it, sources hear all (S5's figures 2b and 3b)"
option system_set ""    "settings over each network's: \"training.epochs=20 model.width=8\""
option num_seeds 1      "trainings of every fold, with seeds 1 to N"
option train_nj 1       "jobs that share a system's trainings (folds x seeds)"
parse_options "$@"

own_names

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s5.sh
