#!/usr/bin/env bash
# S5 on nEMO: what emotion gains from networks of other tasks, all layers or the linear ones only.
#
#   ./run_s5.sh --corpus /data/nEMO             with a narrow network, conf/s5/cnn14.yaml
#   ./run_s5.sh --stage 5 --system "cnn14_random cnn14_audioset_all" --audioset "/models/Cnn14_16k_mAP=0.438.pth"
#   ./run_s5.sh --stage 5 --system "cnn14_random cnn14_mine_all" --others mine=../iemocap/exp/EXP/fold_F/seed_1/checkpoint
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.  A source of one's own is
# one more column: cnn14_NAME_all or cnn14_NAME_linear among --system, and NAME among --sources (a field of the manifest,
# or bandHZ, such as band100: this task through so narrow a band around 500 Hz) or --others.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of data.tsv and samples; free: huggingface.co/datasets/amu-cai/nEMO"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option system "cnn14_random cnn14_gender_all cnn14_speaker_all cnn14_gender_linear cnn14_speaker_linear" \
                        "what is trained: conf/s5/SYSTEM.yaml; the first is compared with each other"
option sources "gender speaker" "tasks whose networks are trained first"
option audioset ""      "PANNs' file Cnn14_16k_mAP=0.438.pth, for cnn14_audioset_all and cnn14_audioset_linear"
option others ""        "NAME=CHECKPOINT[,FOLDS,CUTS] ...: trained elsewhere, for cnn14_NAME_all; with FOLDS and CUTS in the picture, too"
option heard ""         "a band, such as band100: systems hear the task through it, sources hear all (S5's figures 2b and 3b)"
option system_set ""    "settings over each network's: \"training.epochs=20 model.width=8\""
option protocol four    "conf/folds/PROTOCOL.yaml: four (angry, happy, sad, neutral), six; four_25, ..."
option num_seeds 1      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 1       "jobs that share a system's trainings (folds x seeds)"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=nemo data=data results=exp/

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s5.sh
