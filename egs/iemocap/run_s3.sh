#!/usr/bin/env bash
# S3 on IEMOCAP: emotion from hidden layers of a pretrained speech model (wav2vec 2.0, HuBERT, WavLM, Whisper, ...).
#
#   ./run_s3.sh                                 on the demo corpus, from a very small HuBERT pretrained on it
#   ./run_s3.sh --corpus DIR --backbone /models/wav2vec2-base --text-backbone /models/bert-base-uncased --num-seeds 5
#   ./run_s3.sh --stage 4 --system "s3_sum s3_attention" --backbone DIR     which needs frames of all layers on disk
#   ./run_s3.sh --stage 4 --backbone DIR --text-backbone DIR --system "s3a_speech:9 s3a_words s3a_speech_words:9"      S3a
#   ./run_s3.sh --stage 4 --backbone DIR --text-backbone DIR --recogniser ../librispeech/exp/a2w \
#       --system "s3a_speech:9 s3a_speech_words:9 s3a_speech_recognised_words:9"      beside words as they are recognised
#   ./run_s3.sh --stage 5 --backbone DIR --gpu 1 --layers none --system "s3_sum s3_finetune s3_finetune_adapters"
#   ./run_s3.sh --stage 3 --backbone DIR --gpu 1 --layers none --system "s3_finetune s3_finetune_tapt"
#       s3_finetune_tapt: on the train part of each fold pretraining goes on first, without labels
#   ./run_s3.sh --stage 4 --backbone DIR --gpu 1 --layers none --pretrained ../tedlium2/exp/tdnnf_1g \
#       --system "s3b_cnn s3b_backbone_one_stage s3b_backbone_two_stage s3b_acoustic_one_stage s3b_acoustic_two_stage"
#   ./run_s3.sh --stage 6 --others "s1=exp/demo_s1_merged"      beside systems of run.sh on the same folds
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.  Needs make env-ssl.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of IEMOCAP_full_release; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option backbone ""      "folder of a pretrained model (docs/backbones.md); on the demo corpus one is made"
option text_backbone "" "folder of a BERT or its like, for systems that read words (s3a_words, s3a_speech_words)"
option recogniser ""    "an acoustic-to-word experiment, for systems on recognised words (s3a_recognised_words, ...)"
option pretrained ""    "an LF-MMI experiment of egs/tedlium2, for s3b_acoustic_one_stage and s3b_acoustic_two_stage"
option system ""        "what is trained: conf/s3/SYSTEM.yaml, the first compared with each other; empty: those on frozen layers, with --gpu more"
option layers ""        "those that are systems of their own, \"0 6 12\"; empty: all; none: none"
option curve "s3_125 s3_250 s3_500 s3_1000" \
                        "conf/folds/PROTOCOL.yaml with other amounts of training data, for stage 7; empty: none"
option curve_system ""  "systems of the learning curves; empty: s3a_speech, s3_sum, s3_random, and s3a_functionals if openSMILE is there"
option others ""        "NAME=EXPERIMENT ...: trained by run.sh on the same folds, each compared with all of --system"
option protocol merged  "conf/folds/PROTOCOL.yaml: merged (four classes, 5531 utterances), paper, strict, ..."
option num_seeds 2      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a job"
parse_options "$@"

dataset=iemocap
real_or_demo

if stage 0 "Demo corpus"; then make_demo_corpus; fi
if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s3.sh
