#!/usr/bin/env bash
# Many systems on several corpora, by unseen speakers and across corpora: one table and one page.
#
#   ./run.sh --corpora "ravdess=/data/RAVDESS nemo=/data/nEMO cremad=/data/CREMA-D" --num-seeds 5
#   ./run.sh --corpora "ravdess=/data/RAVDESS" --backbone /models/whisper-tiny.en --pretrained ../tedlium2/exp/prompts
#   ./run.sh                                   on demo corpora: that all of it runs, nothing about human speech
#   ./run.sh --corpora ... --tasks "nemo_four ravdess_to_nemo" --systems "s2/svm s3/s3_sum" --stage 5
#
# Tasks are in conf/tasks, systems in conf/systems: a line each.  What is done is not done again, so a run that was
# stopped goes on, and a line that is added is all that is run.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option corpora ""       "NAME=FOLDER ...: corpora of sertools; empty: two demo corpora of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option tasks ""         "some of conf/tasks; empty: all whose corpora are given"
option systems ""       "some of conf/systems; empty: all whose needs are given"
option pretrained ""    "for systems of S1 that transfer: experiments of egs/tedlium2, with their checkpoint/"
option backbone ""      "for systems of S3: folders of pretrained speech models (make env-ssl)"
option num_seeds 5      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option shards 1         "jobs that share the trainings of a system on a task; on a cluster take more"
option train_nj 2       "jobs of training at once"
option gpu 0            "GPUs of a training job"
parse_options "$@"

home=tedlium2
benchmark_plan

if stage 0 "Demo corpora"; then if $demo; then each_corpus benchmark_demo; fi; fi
if stage 1 "Manifests"; then each_corpus prepare_corpus; fi
if stage 2 "Folds of the tasks and of the sources"; then benchmark_folds; fi
if stage 3 "Features"; then
  each_corpus benchmark_features
  combine_features
fi
if stage 4 "Source networks"; then benchmark_sources; fi
if stage 5 "Systems"; then benchmark_systems; fi
if stage 6 "Real-time factors"; then benchmark_speeds; fi
if stage 7 "Table and page"; then benchmark_page; fi
finish
