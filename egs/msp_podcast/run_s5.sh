#!/usr/bin/env bash
# S5 on MSP-Podcast: what arousal in three bins gains from networks of other tasks, all layers or the linear ones only.
#
#   ./run_s5.sh                                         on the demo corpus, with a narrow network
#   ./run_s5.sh --corpus /data/MSP-PODCAST --gpu 1 --num-seeds 5
#   ./run_s5.sh --protocol arousal                      as a number, with CCC
#   ./run_s5.sh --stage 5 --system "cnn14_random cnn14_audioset_all" --audioset "/models/Cnn14_16k_mAP=0.438.pth"
#   ./run_s5.sh --stage 5 --system "cnn14_random cnn14_mine_all" --others mine=../iemocap/exp/EXP/fold_F/seed_1/checkpoint
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.  A source of one's own is
# one more column: cnn14_NAME_all or cnn14_NAME_linear among --system, and NAME among --sources (a field of the manifest,
# or bandHZ, such as band100: this task through so narrow a band around 500 Hz) or --others.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder with Labels and Audios; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option system "cnn14_random cnn14_valence_all cnn14_dominance_all cnn14_valence_linear cnn14_dominance_linear" \
                        "what is trained: conf/s5/SYSTEM.yaml; the first is compared with each other"
option sources "valence dominance" "tasks whose networks are trained first: ratings, gender, speaker"
option audioset ""      "PANNs' file Cnn14_16k_mAP=0.438.pth, for cnn14_audioset_all and cnn14_audioset_linear"
option others ""        "NAME=CHECKPOINT[,FOLDS,CUTS] ...: trained elsewhere, for cnn14_NAME_all; with FOLDS and CUTS in the picture, too"
option heard ""         "a band, such as band100: systems hear the task through it, sources hear all (S5's figures 2b and 3b)"
option system_set ""    "settings over each network's: \"training.epochs=20 model.width=8\""
option protocol arousal_bins "conf/folds/PROTOCOL.yaml: arousal_bins, valence_bins, dominance_bins, arousal (a number)"
option num_seeds 1      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 1       "jobs that share a system's trainings (folds x seeds)"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=msp_podcast
real_or_demo

if stage 0 "Demo corpus"; then make_demo_corpus; fi
if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s5.sh
