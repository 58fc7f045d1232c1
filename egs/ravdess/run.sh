#!/usr/bin/env bash
# Speech emotion recognition on RAVDESS: real speech, 24 actors, by groups of actors.
#
#   ./run.sh --corpus /data/RAVDESS          the folder of Actor_01 .. Actor_24 (wav or flac)
#   ./run.sh --corpus /data/RAVDESS --classes eight
#   ./run.sh --corpus /data/RAVDESS --ivectors ivector --system tdnn_ivector
#
# Stage 5 (bottleneck features of a pretrained network) is to come.
# shellcheck disable=SC2154  # the variables that option sets
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ./path.sh
. ./cmd.sh
. recipe.sh

option corpus ""        "folder of Actor_01 .. Actor_24; RAVDESS is free: zenodo record 1188976, Audio_Speech"
option skip_bad false   "go on without utterances whose audio is broken"
option system tdnn      "conf/SYSTEM.yaml says what is trained, exp/SYSTEM_CLASSES is where it goes"
option classes four     "conf/folds_CLASSES.yaml: four (angry, happy, sad, neutral) or eight"
option ivectors ""      "conf/IVECTORS.yaml: i-vectors for a SYSTEM that takes them (ivector, ivector_utterance)"
option extractor ""     "an i-vector model; empty: one a fold, trained on its train part's actors"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option max_jobs 64      "trainings at once, at most; this machine runs no more than it has cores"
option gpu 0            "GPUs of a training"
parse_options "$@"

folds=data/folds/$classes
exp=exp/${system}${ivectors#ivector}_$classes
cuts=data/mfcc/cuts.jsonl.gz
extractors=data/$ivectors/FOLD/extractor/model    # FOLD stands for the name of each fold
ivectors_in=data/$ivectors/FOLD
if [ -n "$extractor" ]; then
  extractors=$extractor
  ivectors_in=data/$ivectors/given
fi
speakers=()
if [ -n "$ivectors" ]; then
  cuts=$ivectors_in/cuts.jsonl.gz
  speakers=(--speakers "data/$ivectors/speakers")
fi
bad=()
if $skip_bad; then bad=(--skip-bad); fi

if stage 1 "Manifests"; then
  [ -n "$corpus" ] || recipe_error "stage 1 needs --corpus, the folder of Actor_01 .. Actor_24; see --help"
  $train_cmd data/log/prepare.log prepare_corpus.py ravdess "${bad[@]}" "$corpus" data/manifests
fi

if stage 2 "Folds"; then
  $train_cmd data/log/make_folds."$classes".log make_folds.py --config conf/folds_"$classes".yaml \
    --supervisions data/manifests/ravdess_supervisions_all.jsonl.gz "$folds"
fi

if stage 3 "MFCC features"; then
  $train_cmd JOB=1:"$nj" data/log/mfcc.JOB.log compute_features.py --config conf/mfcc.yaml \
    --job JOB --num-jobs "$nj" data/manifests/ravdess_cuts_all.jsonl.gz data/mfcc
  $train_cmd data/log/collect_mfcc.log collect_features.py --config conf/mfcc.yaml \
    data/manifests/ravdess_cuts_all.jsonl.gz data/mfcc
fi

if stage 4 "I-vectors"; then
  mfcc=data/mfcc/cuts.jsonl.gz
  if [ -z "$ivectors" ]; then
    echo "not needed: no --ivectors"
  elif [ -n "$extractor" ]; then
    $train_cmd data/log/extract_"$ivectors".log extract_ivectors.py --config conf/"$ivectors".yaml \
      "$mfcc" "$extractors" "$ivectors_in"
    $train_cmd data/log/identify_speakers_"$ivectors".log identify_speakers.py --corpus RAVDESS \
      "$mfcc" "$extractors" "data/$ivectors/speakers"
  else
    num_folds=$(count_runs.py --num-seeds 1 "$folds")
    $train_cmd JOB=1:"$num_folds" data/log/train_"$ivectors".JOB.log train_ivector.py --config conf/"$ivectors".yaml \
      --folds "$folds" --fold JOB "$mfcc" "data/$ivectors/FOLD/extractor"
    $train_cmd JOB=1:"$num_folds" data/log/extract_"$ivectors".JOB.log extract_ivectors.py --config conf/"$ivectors".yaml \
      --folds "$folds" --fold JOB "$mfcc" "$extractors" "$ivectors_in"
    $train_cmd data/log/identify_speakers_"$ivectors".log identify_speakers.py --corpus RAVDESS --folds "$folds" --fold 1 \
      "$mfcc" "$extractors" "data/$ivectors/speakers"
  fi
fi

if stage 6 "Emotion systems"; then
  runs=$(count_runs.py --num-seeds "$num_seeds" "$folds")
  $cuda_cmd --gpu "$gpu" --max-jobs-run "$max_jobs" JOB=1:"$runs" "$exp"/log/train.JOB.log \
    train_emotion.py --config conf/"$system".yaml --cuts "$cuts" --folds "$folds" \
    --run JOB --num-seeds "$num_seeds" "$exp"
fi

if stage 7 "Scoring"; then
  score.py --folds "$folds" --num-seeds "$num_seeds" "${speakers[@]}" --command "egs/ravdess/run.sh $*" "$exp"
fi

finish
