# Hidden layers of a pretrained speech model as features, and the systems on them, for S3.
#
# They read the options backbone, system, layers, curve_system, protocol, nj and gpu, and dataset, data and demo (real_or_demo).
# shellcheck shell=bash disable=SC2034,SC2154

# backbone_inputs: set folds, backbone (on the demo corpus, where none is given, one that is pretrained on it), from (a
# part of names), suffix and inputs
backbone_inputs() {
  folds=$data/folds/$protocol
  own_backbone=false inputs=()
  if [ -z "$backbone" ] && ${demo:-false}; then
    own_backbone=true
    backbone=$data/pretrained/hubert/backbone
    from=_from_demo_hubert
  else
    backbone=${backbone%/}
    from=_from_${backbone##*/}
  fi
  suffix=_$protocol$from
}

# pretrain_backbone: of the demo corpus, on what trains in the first fold
pretrain_backbone() {
  local part
  if ! $own_backbone; then
    [ -n "$backbone" ] || recipe_error "give --backbone DIR, the folder of a pretrained model (README, Pretrained models)"
    echo "not needed: --backbone is given"
    return
  fi
  echo "NOTE: no --backbone is given, so a very small HuBERT is pretrained on speech of the demo corpus (without labels);"
  echo "its results show that all of it runs, and say nothing of released models"
  for part in train dev; do
    $train_cmd "$data/log/pretrain_cuts_$part.log" select_cuts.py --folds "$folds" --fold 1 --part "$part" \
      "$data/manifests/${dataset}_cuts_all.jsonl.gz" "$data/pretrained/$part"
  done
  config s3/pretrain_ssl
  $cuda_cmd --gpu "$gpu" "$data/log/pretrain_ssl.log" pretrain_ssl.py "${config[@]}" \
    --cuts "$data/pretrained/train/cuts.jsonl.gz" --dev "$data/pretrained/dev/cuts.jsonl.gz" "${backbone%/*}"
}

# features_of SYSTEM: set kind, the features that it reads by its name, cuts, where they are, and inputs, with the cuts of
# words where it reads them
features_of() {
  case $1 in
    *_finetune*) kind=audio ;;
    *_functionals*) kind=functionals ;;
    *_random*) kind=ssl_random ;;
    *_attention* | *_frames* | s3a_*) kind=ssl_frames ;;
    *) kind=ssl ;;
  esac
  cuts=$data/$kind/${from#_from_}/cuts.jsonl.gz
  if [ "$kind" = functionals ]; then cuts=$data/functionals/cuts.jsonl.gz; fi
  inputs=()
  if [ "$kind" = audio ]; then
    cuts=$data/manifests/${dataset}_cuts_all.jsonl.gz
    inputs=(--backbone "$backbone")
  fi
  if [[ $1 == *_words* ]]; then inputs=(--cuts "$data/text/$(words_from)/cuts.jsonl.gz"); fi
}

# words_from: the name of the model of words
words_from() {
  local path=${text_backbone-}
  path=${path%/}
  echo "${path##*/}"
}

# extract_words: of the transcripts, where a system reads them
extract_words() {
  [ -n "${text_backbone-}" ] || recipe_error "systems that read words need --text-backbone DIR, a BERT or its like"
  config features/text
  local cuts=$data/manifests/${dataset}_cuts_all.jsonl.gz words
  words=$data/text/$(words_from)
  $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$data/log/text_$(words_from).JOB.log" compute_features.py "${config[@]}" \
    --input "backbone=$text_backbone" --job JOB --num-jobs "$nj" "$cuts" "$words"
  $train_cmd "$data/log/text_$(words_from).collect.log" collect_features.py "${config[@]}" \
    --input "backbone=$text_backbone" "$cuts" "$words"
}

# extract_layers: of every kind that $system reads
extract_layers() {
  local one kind cuts inputs kinds=ssl
  for one in $system $curve_system; do
    features_of "$one"
    [[ " $kinds " == *" $kind "* ]] || kinds+=" $kind"
  done
  if [[ " $system $curve_system " == *_words* ]]; then extract_words; fi
  cuts=$data/manifests/${dataset}_cuts_all.jsonl.gz
  for kind in $kinds; do
    local log=$data/log/$kind$from
    if [ "$kind" = audio ]; then continue; fi
    if [ "$kind" = functionals ]; then
      compute_features functionals
      continue
    fi
    config "features/$kind"
    $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$log.JOB.log" compute_features.py "${config[@]}" \
      --input "backbone=$backbone" --job JOB --num-jobs "$nj" "$cuts" "$data/$kind/${from#_from_}"
    $train_cmd "$log.collect.log" collect_features.py "${config[@]}" --input "backbone=$backbone" \
      "$cuts" "$data/$kind/${from#_from_}"
  done
}

# layer_systems: set each, the systems of one layer: those of --layers, or of all there are; none with --layers none
layer_systems() {
  local numbers=$layers number
  if [ -z "$numbers" ]; then numbers=$(list_layers.py "$data/ssl/${from#_from_}/cuts.jsonl.gz" ssl); fi
  each=
  if [ "$numbers" != none ]; then
    for number in $numbers; do each+=" s3_layer:$number"; done
  fi
}

# train_on_layers: each of $system, and each layer alone
train_on_layers() {
  local one kind cuts inputs each all
  layer_systems
  all="$system$each"
  for one in $all; do
    local system=$one
    features_of "$one"
    train_systems
  done
}

# score_layers NAME: pages, and the comparison: with each layer, and with the one that is the best on dev in each fold
score_layers() {
  local each group=()
  layer_systems
  if [[ $each == *" "*" "* ]]; then
    local members=${each# }
    group=("layer=${members// /,}")
  fi
  local system="$system$each"
  score_systems
  compare_systems "$1$suffix" "${group[@]}"
}

# learning_curves NAME COMPARISON PROTOCOL...: each of $curve_system on folds with other amounts of training data, their
# comparison on each, and their plot; one seed, for draws vary more
learning_curves() {
  local name=$1 comparison=$2 one folds suffix protocol layers=none system=$curve_system num_seeds=1
  local -A of=()
  for protocol in "${@:3}"; do
    folds=$data/folds/$protocol suffix=_$protocol$from
    make_folds
    train_on_layers
    compare_systems "$comparison$suffix"
    for one in $system; do
      experiment "$one"
      of[$one]+=,$exp
    done
  done
  if [ $# -gt 2 ]; then
    local curves=()
    for one in $system; do curves+=("$one=${of[$one]#,}"); done
    plot_curve.py --num-seeds "$num_seeds" --output "$results$name$from" "${curves[@]}"
  fi
}
