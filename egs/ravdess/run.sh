#!/usr/bin/env bash
# Speech emotion recognition on RAVDESS: real speech, 24 actors, by groups of actors.
#
#   ./run.sh --corpus /data/RAVDESS          the folder of Actor_01 .. Actor_24 (wav or flac)
#   ./run.sh --corpus /data/RAVDESS --classes eight
#   ./run.sh --stage 4 --ivectors ivector --system tdnn_ivector
#   ./run.sh --stage 8 --recogniser ../tedlium2/exp/a2w --s4-system "s4_audio s4_text s4_asr_ser"
#   ./run.sh --stage 5 --pretrained ../tedlium2/exp/tdnnf_1g --system "s1 s1:tdnnf13 s1:prefinal s1_scratch"
#
# shellcheck disable=SC2154  # the variables that option sets
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ./path.sh
. ./cmd.sh
. recipe.sh

option corpus ""        "folder of Actor_01 .. Actor_24; RAVDESS is free: zenodo record 1188976, Audio_Speech"
option skip_bad false   "go on without utterances whose audio is broken"
option system tdnn      "what is trained: conf/SYSTEM.yaml, or SYSTEM:LAYER; several are compared with the first"
option classes four     "conf/folds_CLASSES.yaml: four (angry, happy, sad, neutral), eight; four_25, ...: less to train"
option pretrained ""    "for systems that transfer: an experiment of egs/tedlium2, with its checkpoint/"
option ivectors ""      "conf/IVECTORS.yaml: i-vectors, for networks that take them (ivector, ivector_utterance)"
option extractor ""     "an i-vector model (that of --pretrained); empty: one a fold, of its train part's actors"
option choose_on_dev "" "GROUP=SYSTEM,SYSTEM,...: in the comparison, a system that is in each fold the best on dev"
option num_seeds 3      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option s4_system ""     "stages 8 to 10: S4's systems, conf/S4_SYSTEM.yaml; all: the six of its Table 1"
option recogniser ""    "their acoustic-to-word recogniser: an experiment of egs/librispeech or egs/tedlium2 (stages 9, 10)"
option gpu 0            "GPUs of a training job"
parse_options "$@"

from=${pretrained:+_from_$(experiment_name "$pretrained")}
folds=data/folds/$classes
cuts=data/mfcc/cuts.jsonl.gz
extractors=data/$ivectors/FOLD/extractor/model    # FOLD stands for the name of each fold
ivectors_in=data/$ivectors/FOLD
if [ -n "$extractor" ]; then
  extractors=$extractor
  ivectors_in=data/$ivectors/given
elif [ -n "$ivectors" ] && [ -n "$pretrained" ]; then
  recipe_error "a pretrained network knows the i-vectors of its own extractor: give it by --extractor"
fi
speakers=() extractor_option=() pretrained_option=()
if [ -n "$ivectors" ]; then
  cuts=$ivectors_in/cuts.jsonl.gz
  speakers=(--speakers "data/$ivectors/speakers")
  extractor_option=(--extractor "$extractors")
fi
network_cuts=$cuts
if [ -n "$pretrained" ]; then
  cuts=data/bottleneck/${from#_from_}/cuts.jsonl.gz
  pretrained_option=(--pretrained "$pretrained/checkpoint")
fi
if [ "$s4_system" = all ]; then
  s4_system="s4_audio s4_text s4_text_asr s4_combined s4_combined_asr s4_asr_ser"
fi
heard=${recogniser:+_from_$(experiment_name "$recogniser")}
recognised=data/a2w/${heard#_from_}
recogniser_option=()
if [ -n "$recogniser" ]; then
  recogniser_option=(--recogniser "$recogniser/checkpoint" --transcripts "$recognised/transcripts.csv")
fi
bad=()
if $skip_bad; then bad=(--skip-bad); fi

# experiment SYSTEM[:LAYER[+LAYER]]: sets name, layer (an option of the programs, or nothing) and exp
experiment() {
  [[ /$1 != */../* && $1 != /* ]] || recipe_error "--system $1: the name of a file in conf/ is needed"
  name=${1%%:*} layer=()
  if [[ $1 == *:* ]]; then layers=${1#*:} layer=(--set "model.layers=[${layers//+/,}]"); fi
  exp=exp/${1/:/_}${ivectors#ivector}_$classes$from
}

# s4_experiment SYSTEM: sets conf and exp
s4_experiment() {
  [[ $1 != */* ]] || recipe_error "--s4-system $1: the name of a file in conf/ is needed"
  conf=conf/$1.yaml
  exp=exp/$1_$classes$heard
}

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

if stage 5 "Bottleneck features"; then
  if [ -z "$pretrained" ]; then
    echo "not needed: no --pretrained"
  else
    $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "data/log/bottleneck$from.JOB.log" extract_bottlenecks.py \
      --config conf/bottleneck.yaml --job JOB --num-jobs "$nj" \
      "$network_cuts" "$pretrained/checkpoint" "data/bottleneck/${from#_from_}"
    $train_cmd "data/log/collect_bottleneck$from.log" extract_bottlenecks.py --config conf/bottleneck.yaml \
      "$network_cuts" "$pretrained/checkpoint" "data/bottleneck/${from#_from_}"
  fi
fi

if stage 6 "Emotion systems"; then
  for one in $system; do
    experiment "$one"
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py --config "conf/$name.yaml" \
      "${layer[@]}" "${pretrained_option[@]}" "${extractor_option[@]}" --cuts "$cuts" --folds "$folds" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
  done
fi

if stage 7 "Scoring and comparison"; then
  compared=()
  for one in $system; do
    experiment "$one"
    score.py --folds "$folds" --num-seeds "$num_seeds" "${speakers[@]}" --command "egs/ravdess/run.sh $*" "$exp"
    compared+=("$one=$exp")
  done
  for group in $choose_on_dev; do
    members=
    for one in $(tr ',' ' ' <<< "${group#*=}"); do
      experiment "$one"
      members+=,$exp
    done
    compared+=(--choose-on-dev "${group%%=*}=${members#,}")
  done
  if [ ${#compared[@]} -gt 1 ]; then
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/ravdess/run.sh $*" \
      --output "exp/comparison${ivectors#ivector}_$classes$from" "${compared[@]}"
  fi
fi

if stage 8 "Filter banks, and words as recognised"; then
  if [ -z "$s4_system" ]; then
    echo "not needed: no --s4-system"
  else
    $train_cmd JOB=1:"$nj" data/log/fbank.JOB.log compute_features.py --config conf/fbank.yaml \
      --job JOB --num-jobs "$nj" data/manifests/ravdess_cuts_all.jsonl.gz data/fbank
    $train_cmd data/log/collect_fbank.log collect_features.py --config conf/fbank.yaml \
      data/manifests/ravdess_cuts_all.jsonl.gz data/fbank
    if [ -n "$recogniser" ]; then
      $cuda_cmd --gpu "$gpu" "data/log/decode_a2w$heard.log" decode_a2w.py --config conf/decode_a2w.yaml \
        "$recogniser/checkpoint" data/fbank/cuts.jsonl.gz "$recognised"
    fi
  fi
fi

if stage 9 "Emotion systems of S4"; then
  if [ -z "$s4_system" ]; then
    echo "not needed: no --s4-system"
  fi
  for one in $s4_system; do
    s4_experiment "$one"
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py --config "$conf" \
      "${recogniser_option[@]}" --cuts data/fbank/cuts.jsonl.gz --folds "$folds" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
  done
fi

if stage 10 "Their scoring and comparison"; then
  if [ -z "$s4_system" ]; then
    echo "not needed: no --s4-system"
  fi
  compared=()
  for one in $s4_system; do
    s4_experiment "$one"
    score.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/ravdess/run.sh $*" "$exp"
    compared+=("$one=$exp")
  done
  if [ ${#compared[@]} -gt 1 ]; then
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/ravdess/run.sh $*" \
      --output "exp/comparison_s4_$classes$heard" "${compared[@]}"
  fi
  # each TDNN system that stage 6 has trained on these folds, against all of S4's
  untrained=
  for one in ${s4_system:+$system}; do
    experiment "$one"
    if [ -d "$exp" ]; then
      compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/ravdess/run.sh $*" \
        --output "exp/comparison_s4_with_${one/:/_}_$classes$heard" "$one=$exp" "${compared[@]}"
    else
      untrained+=" $one"
    fi
  done
  if [ -n "$untrained" ]; then
    echo "not compared with$untrained: not trained on these folds (stage 6)"
  fi
fi

finish
