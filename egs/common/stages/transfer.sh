# I-vectors, and layers of a pretrained network as features.
#
# They read the options protocol, ivectors, extractor, pretrained, nj and gpu, and dataset and data.
# shellcheck shell=bash disable=SC2034,SC2154

# transfer_inputs [FOLDER]: set what the stages below, and the trainings, read: folds, mfcc, network_cuts (what the
# network reads), cuts (what the emotion systems read), inputs (options of train_emotion.py), from (a part of names).
# Extractors of a fold's own lie in FOLDER/FOLD; without it in a folder of the protocol.
transfer_inputs() {
  name_folds
  mfcc=$data/mfcc/cuts.jsonl.gz
  network_cuts=$mfcc inputs=() from=
  own_extractors=${1:-$data/$ivectors/$protocol}
  extractors=$own_extractors/FOLD/extractor/model    # FOLD stands for the name of each fold
  ivectors_in=$own_extractors/FOLD
  if [ -n "$extractor" ]; then
    extractors=$extractor
    ivectors_in=$data/$ivectors/given
  elif [ -n "$ivectors" ] && [ -n "$pretrained" ]; then
    recipe_error "a pretrained network knows the i-vectors of its own extractor: give it by --extractor, or --ivectors ''"
  fi
  if [ -n "$ivectors" ]; then
    check_name --ivectors "$ivectors"
    network_cuts=$ivectors_in/cuts.jsonl.gz
    inputs+=(--extractor "$extractors")
  fi
  cuts=$network_cuts
  if [ -n "$pretrained" ]; then
    from=_from_$(experiment_name "$pretrained")
    cuts=$data/bottleneck/${from#_from_}/cuts.jsonl.gz
    inputs+=(--pretrained "$pretrained/checkpoint")
  fi
}

# default_transfer: set system where it is not given: on layers of a pretrained network those that RESULTS.md recommends and
# S1's own; without one the network from scratch, and what it has to beat; and by_speaker, those of them that normalise by
# speaker
default_transfer() {
  by_default=false by_speaker=
  if [ -n "$system" ]; then return; fi
  by_default=true
  if [ -n "$pretrained" ]; then
    system="pooled pooled_speaker s1" by_speaker=pooled_speaker
  else
    system="tdnn pooled_mfcc"
    # which takes no extractor
    if [ -n "$ivectors" ]; then system=tdnn; fi
  fi
}

# make_ivectors: by the extractor given, or by one of each fold, of its train part's speakers
make_ivectors() {
  local log=$data/log num_folds of_a_fold=()
  if [ -z "$ivectors" ]; then
    echo "not needed: no --ivectors"
    return
  fi
  config "ivector/$ivectors"
  if [ -n "$extractor" ]; then
    $train_cmd "$log/extract_$ivectors.log" extract_ivectors.py "${config[@]}" "$mfcc" "$extractors" "$ivectors_in"
  else
    num_folds=$(count_runs.py --num-seeds 1 "$folds")
    $train_cmd JOB=1:"$num_folds" "$log/train_$ivectors.JOB.log" train_ivector.py "${config[@]}" \
      --folds "$folds" --fold-number JOB "$mfcc" "$own_extractors/FOLD/extractor"
    $train_cmd JOB=1:"$num_folds" "$log/extract_$ivectors.JOB.log" extract_ivectors.py "${config[@]}" \
      --folds "$folds" --fold-number JOB "$mfcc" "$extractors" "$ivectors_in"
    of_a_fold=(--folds "$folds" --fold-number 1)
  fi
  $train_cmd "$log/identify_speakers_$ivectors.log" identify_speakers.py --corpus "${dataset^^}" "${of_a_fold[@]}" \
    "$mfcc" "$extractors" "$data/$ivectors/speakers"
}

# extract_bottlenecks: the layers of conf/features/bottleneck.yaml
extract_bottlenecks() {
  if [ -z "$pretrained" ]; then
    echo "not needed: no pretrained network"
    return
  fi
  config features/bottleneck
  local network="pretrained=$pretrained/checkpoint"
  $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$data/log/bottleneck$from.JOB.log" compute_features.py "${config[@]}" \
    --input "$network" --job JOB --num-jobs "$nj" "$network_cuts" "${cuts%/*}"
  $train_cmd "$data/log/collect_bottleneck$from.log" collect_features.py "${config[@]}" \
    --input "$network" "$network_cuts" "${cuts%/*}"
}
