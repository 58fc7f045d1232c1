#!/usr/bin/env bash
# Speech emotion recognition on IEMOCAP: from the corpus, or a synthetic one, to a table of results.
#
#   ./run.sh                                          on the demo corpus
#   ./run.sh --corpus /data/IEMOCAP_full_release      on the real one
#   ./run.sh --stage 6 --system tdnn_1g --protocol strict
#   ./run.sh --stage 4 --ivectors ivector --system tdnn_ivector
#
# Stage 5 (bottleneck features of a pretrained network) is to come.
# shellcheck disable=SC2154  # the variables that option sets
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ./path.sh
. ./cmd.sh
. recipe.sh

option corpus ""        "folder of IEMOCAP_full_release; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option system tdnn      "conf/SYSTEM.yaml says what is trained, exp/SYSTEM_PROTOCOL is where it goes"
option protocol paper   "conf/folds_PROTOCOL.yaml: paper (S1), strict, merged, s4, improvised, random"
option ivectors ""      "conf/IVECTORS.yaml: i-vectors for a SYSTEM that takes them (ivector, ivector_utterance)"
option extractor ""     "an i-vector model; empty: one a fold, trained on its train part's speakers"
option num_seeds 2      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option max_jobs 64      "trainings at once, at most; this machine runs no more than it has cores"
option gpu 0            "GPUs of a training"
parse_options "$@"

# what is made from synthetic speech never lies where real results are
data=data/demo
exp=exp/demo_${system}${ivectors#ivector}_$protocol
ivector_conf=conf/${ivectors}_demo.yaml
if [ -n "$corpus" ]; then
  data=data/real
  exp=exp/${system}${ivectors#ivector}_$protocol
  ivector_conf=conf/$ivectors.yaml
fi
features=$data/mfcc
folds=$data/folds/$protocol
cuts=$features/cuts.jsonl.gz
extractors=$data/$ivectors/$protocol/FOLD/extractor/model    # FOLD stands for the name of each fold
ivectors_in=$data/$ivectors/$protocol/FOLD
if [ -n "$extractor" ]; then
  extractors=$extractor
  ivectors_in=$data/$ivectors/given
fi
speakers=()
if [ -n "$ivectors" ]; then
  cuts=$ivectors_in/cuts.jsonl.gz
  speakers=(--speakers "$data/$ivectors/speakers")
fi
bad=()
if $skip_bad; then bad=(--skip-bad); fi

if stage 0 "Demo corpus"; then
  if [ -z "$corpus" ]; then
    $train_cmd $data/log/make_demo_corpus.log make_demo_corpus.py iemocap --config conf/demo.yaml $data/corpus
  else
    echo "not needed: --corpus is given"
  fi
fi

if stage 1 "Manifests"; then
  $train_cmd $data/log/prepare.log prepare_corpus.py iemocap "${bad[@]}" "${corpus:-$data/corpus}" $data/manifests
fi

if stage 2 "Folds"; then
  $train_cmd $data/log/make_folds."$protocol".log make_folds.py --config conf/folds_"$protocol".yaml \
    --supervisions $data/manifests/iemocap_supervisions_all.jsonl.gz "$folds"
fi

if stage 3 "MFCC features"; then
  $train_cmd JOB=1:"$nj" $data/log/mfcc.JOB.log compute_features.py --config conf/mfcc.yaml \
    --job JOB --num-jobs "$nj" $data/manifests/iemocap_cuts_all.jsonl.gz $features
  $train_cmd $data/log/collect_mfcc.log collect_features.py --config conf/mfcc.yaml \
    $data/manifests/iemocap_cuts_all.jsonl.gz $features
fi

if stage 4 "I-vectors"; then
  mfcc=$features/cuts.jsonl.gz
  if [ -z "$ivectors" ]; then
    echo "not needed: no --ivectors"
  elif [ -n "$extractor" ]; then
    $train_cmd $data/log/extract_"$ivectors".log extract_ivectors.py --config "$ivector_conf" \
      $mfcc "$extractors" "$ivectors_in"
    $train_cmd $data/log/identify_speakers_"$ivectors".log identify_speakers.py --corpus IEMOCAP \
      $mfcc "$extractors" "$data/$ivectors/speakers"
  else
    num_folds=$(count_runs.py --num-seeds 1 "$folds")
    $train_cmd JOB=1:"$num_folds" $data/log/train_"$ivectors".JOB.log train_ivector.py --config "$ivector_conf" \
      --folds "$folds" --fold JOB $mfcc "$data/$ivectors/$protocol/FOLD/extractor"
    $train_cmd JOB=1:"$num_folds" $data/log/extract_"$ivectors".JOB.log extract_ivectors.py --config "$ivector_conf" \
      --folds "$folds" --fold JOB $mfcc "$extractors" "$ivectors_in"
    $train_cmd $data/log/identify_speakers_"$ivectors".log identify_speakers.py --corpus IEMOCAP --folds "$folds" --fold 1 \
      $mfcc "$extractors" "$data/$ivectors/speakers"
  fi
fi

if stage 6 "Emotion systems"; then
  runs=$(count_runs.py --num-seeds "$num_seeds" "$folds")
  $cuda_cmd --gpu "$gpu" --max-jobs-run "$max_jobs" JOB=1:"$runs" "$exp"/log/train.JOB.log \
    train_emotion.py --config conf/"$system".yaml --cuts "$cuts" --folds "$folds" \
    --run JOB --num-seeds "$num_seeds" "$exp"
fi

if stage 7 "Scoring"; then
  score.py --folds "$folds" --num-seeds "$num_seeds" "${speakers[@]}" --command "egs/iemocap/run.sh $*" "$exp"
fi

finish
