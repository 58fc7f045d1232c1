#!/usr/bin/env bash
# S3 on RAVDESS: emotion from hidden layers of a pretrained speech model (wav2vec 2.0, HuBERT, WavLM, Whisper, ...).
#
#   ./run_s3.sh --corpus /data/RAVDESS --backbone /models/wav2vec2-base
#   ./run_s3.sh --stage 4 --system "s3_sum s3_attention" --backbone DIR     which needs frames of all layers on disk
#   ./run_s3.sh --stage 5 --backbone DIR --gpu 1 --layers none --system "s3_sum s3_finetune s3_finetune_adapters"
#   ./run_s3.sh --stage 3 --backbone DIR --gpu 1 --layers none --system "s3_finetune s3_finetune_tapt"
#       s3_finetune_tapt: on the train part of each fold pretraining goes on first, without labels
#   ./run_s3.sh --stage 4 --backbone DIR --gpu 1 --layers none --pretrained ../tedlium2/exp/tdnnf_1g \
#       --system "s3b_cnn s3b_backbone_one_stage s3b_backbone_two_stage s3b_acoustic_one_stage s3b_acoustic_two_stage"
#   ./run_s3.sh --stage 6 --backbone DIR --others "s1=exp/s1_four"      beside systems of run.sh on the same folds
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.  Needs make env-ssl.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of Actor_01 .. Actor_24; RAVDESS is free: zenodo record 1188976, Audio_Speech"
option skip_bad false   "go on without utterances whose audio is broken"
option backbone ""      "folder of a pretrained model (docs/backbones.md)"
option pretrained ""    "an LF-MMI experiment of egs/tedlium2, for s3b_acoustic_one_stage and s3b_acoustic_two_stage"
option system ""        "what is trained: conf/s3/SYSTEM.yaml, the first compared with each other; empty: those on frozen layers, with --gpu more"
option layers ""        "those that are systems of their own, \"0 6 12\"; empty: all; none: none"
option curve "four_8_each four_16_each four_32_each four_64_each" \
                        "conf/folds/PROTOCOL.yaml with other amounts of training data, for stage 7; empty: none"
option curve_system ""  "systems of the learning curves; empty: s3a_speech, s3_sum, s3_random, and s3a_functionals if openSMILE is there"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option protocol four    "conf/folds/PROTOCOL.yaml: four (angry, happy, sad, neutral), eight; four_25, ...: less to train"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a job"
parse_options "$@"

dataset=ravdess data=data results=exp/

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s3.sh
