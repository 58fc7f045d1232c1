#!/usr/bin/env bash
# What twice the transcribed speech gives: UA over minutes of pretraining, in the benchmark's table and as a curve.
#
#   ./run_pretraining.sh --speech "prompts=CUTS" --minutes "10 20 40 all" --corpora "ravdess=/data/RAVDESS"
#   ./run_pretraining.sh --speech "neutral=A.jsonl.gz+B.jsonl.gz emotional=C.jsonl.gz" --minutes "20 all" --corpora ...
#   ./run_pretraining.sh --seeds "1 2 3" ...   each point the mean of three pretrainings, their range beside it
#   ./run_pretraining.sh                       on demo corpora: that all of it runs, nothing about human speech
#
# CUTS are manifests of lhotse cuts with transcripts in one language or several (espeak-ng says how words sound).
# Recognisers are pretrained by ../tedlium2/run.sh, systems trained by ./run.sh: what is done is not done again.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option speech ""        "NAME=CUTS[+CUTS] ...: transcribed speech to pretrain on; empty: a demo corpus"
option minutes all      "of the parts of each that are pretrained on: 10, all, or NAME:10 of one of --speech alone"
option network tdnnf_narrow "../common/conf/lfmmi/NETWORK.yaml; with NETWORK_random.yaml beside it, random weights as a control"
option graphs graphs_small "../common/conf/lfmmi/GRAPHS.yaml: their denominator; graphs on a GPU"
option seeds ""         "1 2 3: of the networks' initialisation and pretraining; of several a point is the mean; empty: 1"
option corpora ""       "NAME=FOLDER ...: corpora of emotional speech; empty: two demo corpora"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option tasks ""         "some of conf/tasks; empty: all whose corpora are given"
option systems "s1/pooled s1/s1_finetune" "of conf/systems, that are carried from each pretrained network"
option level "s2/svm s1/pooled_mfcc" "of conf/systems, that need no pretraining: lines to compare with"
option num_seeds 5      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option shards 1         "jobs that share the trainings of a system on a task; on a cluster take more"
option train_nj 2       "jobs of training at once, and networks that are pretrained at once"
option gpu 0            "GPUs of a training job"
parse_options "$@"

home=tedlium2
pretraining_plan
list_networks

if stage 0 "Demo speech"; then if [ -z "$speech" ]; then pretraining_demo; fi; fi
if stage 1 "Parts of the speech"; then sample_speech; fi
if stage 2 "How words sound"; then pronounce_speech; fi
if stage 3 "Pretraining"; then pretrain_parts; fi
if stage 4 "Systems on the tasks"; then benchmark_with_all 0 6; fi
if stage 5 "Curves"; then pretraining_curves; fi
if stage 6 "Table and page"; then benchmark_with_all 7 7; fi
finish
