#!/usr/bin/env bash
# The model that comes with the package: four emotions, English and Polish, small enough to lie in a wheel.
#
#   ./run.sh --ravdess /data/RAVDESS --nemo /data/nEMO
#   ./run.sh --stage 6 --package ../../sertools/packaged/four       after a look at the scores
#
# Both corpora are free for research, not for commercial use (CC BY-NC-SA 4.0), and so is what is trained on them.
# Every group of actors is tested once; what is packaged is the first fold's network, whatever its score, and the card
# beside it says what was measured, with intervals.
#
# Settings are in ../common/conf/*/NAME.yaml; what conf/*/NAME.yaml says here goes over them.
#
# shellcheck disable=SC2034,SC2154  # variables that option sets, and that the stages read
. "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }

option ravdess ""       "folder of Actor_01 .. Actor_24; RAVDESS is free: zenodo record 1188976, Audio_Speech"
option nemo ""          "folder of samples/ and data.tsv; nEMO is free: github.com/amu-cai/nEMO"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option system tdnn      "what is trained: conf/s1/SYSTEM.yaml"
option protocol four    "conf/folds/PROTOCOL.yaml"
option num_seeds 1      "trainings of every fold, with seeds 1 to N"
option package exp/four "where the packaged model is written"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share the trainings and read the features once each"
option gpu 0            "GPUs of a training job"
parse_options "$@"

dataset=packaged paper=s1 data=data results=exp/
folds=$data/folds/$protocol cuts=$data/mfcc/cuts.jsonl.gz suffix=_$protocol inputs=()

if stage 1 "Manifests"; then
  [ -n "$ravdess" ] && [ -n "$nemo" ] || recipe_error "stage 1 needs --ravdess and --nemo, folders; see --help"
  options=()
  if $skip_bad; then options=(--skip-bad); fi
  for one in ravdess nemo; do
    $train_cmd "$data/log/prepare_$one.log" prepare_corpus.py "$one" "${options[@]}" "${!one}" "$data/manifests"
  done
fi
if stage 2 "Folds"; then
  $train_cmd "$data/log/make_folds.log" make_folds.py --config "conf/folds/$protocol.yaml" \
    --supervisions "$data/manifests/ravdess_supervisions_all.jsonl.gz" \
    --supervisions "$data/manifests/nemo_supervisions_all.jsonl.gz" "$folds"
fi
if stage 3 "MFCC features"; then
  $train_cmd "$data/log/select_cuts.log" select_cuts.py --folds "$folds" \
    "$data/manifests/ravdess_cuts_all.jsonl.gz" "$data/manifests/nemo_cuts_all.jsonl.gz" "$data/cuts"
  compute_features mfcc "$data/cuts/cuts.jsonl.gz"
fi
if stage 4 "Emotion systems"; then train_systems; fi
if stage 5 "Scores"; then score_systems; fi
if stage 6 "The packaged model"; then
  experiment "$system"
  package_model.py --folds "$folds" --cuts "$data/cuts/cuts.jsonl.gz" --command "egs/packaged/run.sh --ravdess DIR --nemo DIR" \
    "$exp" "$package"
fi
finish
