#!/usr/bin/env bash
# S5's speakers: Cnn14 learns who speaks in VoxCeleb1, for S5 on other corpora to start from.
#
#   ./run_s5.sh                                         on the demo corpus, with a narrow network
#   ./run_s5.sh --corpus /data/VoxCeleb1 --gpu 1        iden_split.txt, vox1_meta.csv and wav of both archives
#   (cd ../msp_podcast && ./run_s5.sh --stage 5 --system "cnn14_random cnn14_voxceleb_all cnn14_voxceleb_linear" \
#      --others voxceleb=../voxceleb1/exp/cnn14_random_speaker/fold_test/seed_1/checkpoint)
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder with iden_split.txt, vox1_meta.csv and wav; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio is broken or missing"
option system cnn14_random "what is trained: conf/s5/SYSTEM.yaml; the first is compared with each other"
option system_set ""    "settings over each network's: \"training.epochs=20 model.width=8\""
option protocol speaker "conf/folds/PROTOCOL.yaml: speaker, gender"
option num_seeds 1      "trainings, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 1       "jobs that share a system's trainings (seeds)"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=voxceleb1 paper=s5
real_or_demo
folds=$data/folds/$protocol cuts=$data/logmel/cuts.jsonl.gz inputs=()
suffix=_$protocol settings=()
for one in $system_set; do settings+=(--set "$one"); done

if stage 0 "Demo corpus"; then make_demo_corpus; fi
if stage 1 "Manifests"; then prepare_corpus; fi
if stage 2 "Folds"; then make_folds; fi
if stage 3 "Log-mel spectra"; then compute_features logmel; fi
if stage 4 "Speaker network"; then train_systems; fi
if stage 5 "Scores"; then
  score_systems
  compare_systems "comparison_s5$suffix"
fi
finish
