#!/usr/bin/env bash
# S1 on CREMA-D: real speech, 91 actors, by groups of actors; layers of a pretrained network as features of emotion.
#
#   ./run.sh --corpus /data/CREMA-D          the folder with AudioWAV and VideoDemographics.csv
#   ./run.sh --corpus /data/CREMA-D --protocol two
#   ./run.sh --stage 4 --ivectors ivector --system tdnn_ivector
#   ./run.sh --stage 5 --pretrained ../tedlium2/exp/tdnnf_1g --system "s1 s1:tdnnf13 s1:prefinal s1_scratch"
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpus ""        "folder of AudioWAV; free: github.com/CheyneyComputerScience/CREMA-D (Git LFS)"
option skip_bad false   "go on without utterances whose audio is broken"
option pretrained ""    "for systems that transfer: an experiment of egs/tedlium2, with its checkpoint/"
option ivectors ""      "i-vectors for networks that take them, conf/ivector/IVECTORS.yaml (ivector, ivector_utterance)"
option extractor ""     "an i-vector model (that of --pretrained); empty: one a fold, of its train part's actors"
option system ""        "what is trained: conf/s1/SYSTEM.yaml, or SYSTEM:LAYER, the first compared with each other; empty: tdnn pooled_mfcc (with --ivectors tdnn), with --pretrained pooled pooled_speaker s1"
option choose_on_dev "" "GROUP=SYSTEM,SYSTEM,...: in the comparison, a system that is in each fold the best on dev"
option protocol four    "conf/folds/PROTOCOL.yaml: four (angry, happy, sad, neutral), two (happy, sad), six, ..."
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=cremad home=tedlium2 data=data results=exp/
transfer_inputs "$data/$ivectors"    # the actors of a fold's train part are the same whatever the classes

if stage 1 "Manifests"; then prepare_corpus; fi
. ../common/recipes/s1.sh
