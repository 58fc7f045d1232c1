#!/usr/bin/env bash
# Speech emotion recognition on IEMOCAP (S1, S4): from the corpus, or a synthetic one, to tables and comparisons.
#
#   ./run.sh                                          on the demo corpus, from egs/tedlium2's demo network
#   ./run.sh --corpus /data/IEMOCAP_full_release      on the real one, from egs/tedlium2's
#   ./run.sh --stage 6 --system "s1 s1_scratch" --protocol strict
#   ./run.sh --pretrained none --ivectors "" --system tdnn       without pretraining
#   ./run.sh --stage 8 --protocol s4 --s4-system all             S4, from egs/tedlium2's word recogniser
#
# shellcheck disable=SC2154  # the variables that option sets
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ./path.sh
. ./cmd.sh
. recipe.sh

option corpus ""        "folder of IEMOCAP_full_release; empty: a demo corpus of synthetic speech"
option skip_bad false   "go on without utterances whose audio or labels are broken"
option pretrained ""    "an experiment of egs/tedlium2, with its checkpoint/; empty: its default; none"
option ivectors ivector "conf/IVECTORS.yaml: i-vectors, for networks that take them (ivector, ivector_utterance); or empty"
option extractor ""     "an i-vector model; empty: the pretraining's, or with --pretrained none one a fold"
option system "s1:tdnnf12 s1:tdnnf13 s1:prefinal s1_scratch pooled" \
                        "what is trained: conf/SYSTEM.yaml, or SYSTEM:LAYER; several are compared with the first"
option choose_on_dev "s1_on_dev=s1:tdnnf12,s1:tdnnf13,s1:prefinal" \
                        "GROUP=SYSTEM,SYSTEM,...: in the comparison, a system that is in each fold the best on dev"
option protocol paper   "conf/folds_PROTOCOL.yaml: paper (S1), strict, merged, s4, improvised, scripted, random"
option num_seeds 2      "trainings of every fold, with seeds 1 to N"
option nj 2             "jobs of feature extraction"
option train_nj 2       "jobs that share a system's trainings (folds x seeds) and read the features once each"
option s4_system ""     "stages 8 to 10: S4's systems, conf/S4_SYSTEM.yaml; all: the six of its Table 1"
option recogniser ""    "their recogniser: an experiment of egs/librispeech (S4's) or egs/tedlium2; empty: tedlium2's default"
option gpu 0            "GPUs of a training job"
parse_options "$@"

# what is made from synthetic speech never lies where real results are
data=data/demo results=exp/demo_ asr=../tedlium2/exp/demo_ network=tdnnf_demo a2w=a2w_demo
ivector_conf=conf/${ivectors}_demo.yaml
if [ -n "$corpus" ]; then
  data=data/real results=exp/ asr=../tedlium2/exp/ network=tdnnf_1g a2w=a2w
  ivector_conf=conf/$ivectors.yaml
fi
if [ -z "$pretrained" ]; then
  pretrained=$asr$network
  extractor=${extractor:-${asr}ivector/model}
fi
from=_from_$(experiment_name "$pretrained")
if [ "$pretrained" = none ]; then pretrained="" from=""; fi
folds=$data/folds/$protocol
mfcc=$data/mfcc/cuts.jsonl.gz
network_cuts=$mfcc
extractors=$data/$ivectors/$protocol/FOLD/extractor/model    # FOLD stands for the name of each fold
ivectors_in=$data/$ivectors/$protocol/FOLD
if [ -n "$extractor" ]; then
  extractors=$extractor
  ivectors_in=$data/$ivectors/given
elif [ -n "$ivectors" ] && [ -n "$pretrained" ]; then
  recipe_error "a pretrained network knows the i-vectors of its own extractor: give it by --extractor, or --ivectors ''"
fi
speakers=() extractor_option=() pretrained_option=()
if [ -n "$ivectors" ]; then
  network_cuts=$ivectors_in/cuts.jsonl.gz
  speakers=(--speakers "$data/$ivectors/speakers")
  extractor_option=(--extractor "$extractors")
fi
cuts=$network_cuts
if [ -n "$pretrained" ]; then
  cuts=$data/bottleneck/${from#_from_}/cuts.jsonl.gz
  pretrained_option=(--pretrained "$pretrained/checkpoint")
fi
if [ "$s4_system" = all ]; then
  s4_system="s4_audio s4_text s4_text_asr s4_combined s4_combined_asr s4_asr_ser"
fi
recogniser=${recogniser:-$asr$a2w}
heard=_from_$(experiment_name "$recogniser")
recognised=$data/a2w/${heard#_from_}
recogniser_option=(--recogniser "$recogniser/checkpoint" --transcripts "$recognised/transcripts.csv")
bad=()
if $skip_bad; then bad=(--skip-bad); fi

# experiment SYSTEM[:LAYER[+LAYER]]: sets name, layer (an option of the programs, or nothing) and exp
experiment() {
  [[ /$1 != */../* && $1 != /* ]] || recipe_error "--system $1: the name of a file in conf/ is needed"
  name=${1%%:*} layer=()
  if [[ $1 == *:* ]]; then layers=${1#*:} layer=(--set "model.layers=[${layers//+/,}]"); fi
  exp=$results${1/:/_}${ivectors#ivector}_$protocol$from
}

# s4_experiment SYSTEM: sets conf and exp
s4_experiment() {
  [[ $1 != */* ]] || recipe_error "--s4-system $1: the name of a file in conf/ is needed"
  conf=conf/$1.yaml
  # narrower ones for the demo corpus
  if [ -z "$corpus" ] && [ -e "conf/$1_demo.yaml" ]; then conf=conf/$1_demo.yaml; fi
  exp=$results$1_$protocol$heard
}

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
    --job JOB --num-jobs "$nj" $data/manifests/iemocap_cuts_all.jsonl.gz $data/mfcc
  $train_cmd $data/log/collect_mfcc.log collect_features.py --config conf/mfcc.yaml \
    $data/manifests/iemocap_cuts_all.jsonl.gz $data/mfcc
fi

if stage 4 "I-vectors"; then
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

if stage 5 "Bottleneck features"; then
  if [ -z "$pretrained" ]; then
    echo "not needed: --pretrained none"
  else
    $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$data/log/bottleneck$from.JOB.log" extract_bottlenecks.py \
      --config conf/bottleneck.yaml --job JOB --num-jobs "$nj" "$network_cuts" "$pretrained/checkpoint" "${cuts%/*}"
    $train_cmd "$data/log/collect_bottleneck$from.log" extract_bottlenecks.py --config conf/bottleneck.yaml \
      "$network_cuts" "$pretrained/checkpoint" "${cuts%/*}"
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
    score.py --folds "$folds" --num-seeds "$num_seeds" "${speakers[@]}" --command "egs/iemocap/run.sh $*" "$exp"
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
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/iemocap/run.sh $*" \
      --output "${results}comparison${ivectors#ivector}_$protocol$from" "${compared[@]}"
  fi
fi

if stage 8 "Filter banks, and words as recognised"; then
  if [ -z "$s4_system" ]; then
    echo "not needed: no --s4-system"
  else
    $train_cmd JOB=1:"$nj" $data/log/fbank.JOB.log compute_features.py --config conf/fbank.yaml \
      --job JOB --num-jobs "$nj" $data/manifests/iemocap_cuts_all.jsonl.gz $data/fbank
    $train_cmd $data/log/collect_fbank.log collect_features.py --config conf/fbank.yaml \
      $data/manifests/iemocap_cuts_all.jsonl.gz $data/fbank
    if [ -d "$recogniser/checkpoint" ]; then
      $cuda_cmd --gpu "$gpu" "$data/log/decode_a2w$heard.log" decode_a2w.py --config conf/decode_a2w.yaml \
        "$recogniser/checkpoint" $data/fbank/cuts.jsonl.gz "$recognised"
    else
      echo "no words are recognised: there is no $recogniser/checkpoint; s4_audio, s4_text and s4_combined need none"
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
      "${recogniser_option[@]}" --cuts $data/fbank/cuts.jsonl.gz --folds "$folds" \
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
    score.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/iemocap/run.sh $*" "$exp"
    compared+=("$one=$exp")
  done
  if [ ${#compared[@]} -gt 1 ]; then
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/iemocap/run.sh $*" \
      --output "${results}comparison_s4_$protocol$heard" "${compared[@]}"
  fi
  # each TDNN system that stage 6 has trained on these folds, against all of S4's
  untrained=
  for one in ${s4_system:+$system}; do
    experiment "$one"
    if [ -d "$exp" ]; then
      compare.py --folds "$folds" --num-seeds "$num_seeds" --command "egs/iemocap/run.sh $*" \
        --output "${results}comparison_s4_with_${one/:/_}_$protocol$heard" "$one=$exp" "${compared[@]}"
    else
      untrained+=" $one"
    fi
  done
  if [ -n "$untrained" ]; then
    echo "not compared with$untrained: not trained on these folds (stage 6)"
  fi
fi

finish
