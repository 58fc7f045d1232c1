# Hidden layers of a pretrained speech model as features, and the systems on them, for S3.
#
# They read the options backbone, text_backbone, recogniser, pretrained, system, layers, curve_system, protocol, nj and
# gpu, and dataset, data and demo (real_or_demo).
# shellcheck shell=bash disable=SC2034,SC2154

# upper_layer: three quarters up the backbone, 9 of 12; 2, which is that of the demo's, where its config.json does not say
upper_layer() {
  local count
  count=$(sed -n 's/.*"num_hidden_layers": *\([0-9][0-9]*\).*/\1/p' "$backbone/config.json" 2> /dev/null | head -n 1)
  echo $((count ? count * 3 / 4 : 2))
}

# default_systems: set system, and by_speaker (those of it that normalise by speaker): frozen layers, S3a's networks and,
# where they can be trained in reasonable time, fine-tuning and (with a GPU) S3b
default_systems() {
  local layer
  layer=$(upper_layer)
  system="s3_sum s3_sum_norm s3_sum_mean s3_random s3a_speech:$layer"
  if [ -n "${text_backbone-}" ]; then
    system+=" s3a_words s3a_speech_words:$layer"
    if [ -n "${recogniser-}" ]; then system+=" s3a_recognised_words s3a_speech_recognised_words:$layer"; fi
  fi
  # what RESULTS.md recommends, without and with several utterances of a tested speaker at hand
  if ! ${demo:-false}; then
    system+=" s3_sum_fast s3_sum_fast_speaker" by_speaker=s3_sum_fast_speaker
  fi
  if ${demo:-false} || [ "$gpu" -gt 0 ]; then system+=" s3_finetune s3_finetune_adapters"; fi
  if [ "$gpu" -gt 0 ]; then
    system+=" s3b_cnn s3b_backbone_one_stage s3b_backbone_two_stage"
    if [ -n "${pretrained-}" ]; then system+=" s3b_acoustic_one_stage s3b_acoustic_two_stage"; fi
  fi
}

# default_curves: what S3a's figure has, and here; functionals where openSMILE is installed
default_curves() {
  curve_system="s3a_speech:$(upper_layer) s3_sum s3_random"
  if python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("opensmile") is None)'; then
    curve_system+=" s3a_functionals"
  else
    echo "the learning curves are without functionals (s3a_functionals), for which make env-opensmile is needed"
  fi
}

# backbone_inputs: set folds, backbone (on the demo corpus, where none is given, one that is pretrained on it), from (a
# part of names), suffix and inputs; and system and curve_system, where they are not given
backbone_inputs() {
  by_speaker=
  if [ -z "$system" ]; then default_systems; fi
  if [ -z "$curve_system" ] && [ -n "${curve-}" ]; then default_curves; fi
  name_folds
  own_backbone=false inputs=()
  if [ -z "$backbone" ] && ${demo:-false}; then
    own_backbone=true
    backbone=$data/pretrained/hubert/backbone
    from=_from_demo_hubert
  else
    backbone=${backbone%/}
    # pretrain_ssl.py makes EXPERIMENT/backbone
    from=${backbone%/backbone}
    from=_from_${from##*/}
  fi
  suffix+=$from
}

# pretrain_backbone: of the demo corpus, on what trains in the first fold
pretrain_backbone() {
  if ! $own_backbone; then
    [ -n "$backbone" ] || recipe_error "give --backbone DIR, the folder of a pretrained model (docs/backbones.md)"
    echo "not needed: --backbone is given"
    return
  fi
  echo "NOTE: no --backbone is given, so a very small HuBERT is pretrained on speech of the demo corpus (without labels);"
  echo "its results show that all of it runs, and say nothing of released models"
  config s3/pretrain_ssl
  $cuda_cmd --gpu "$gpu" "$data/log/pretrain_ssl.log" pretrain_ssl.py "${config[@]}" --folds "$folds" --fold-number 1 \
    --cuts "$(cuts_of_corpus)" "${backbone%/*}"
}

# continued: where the backbone goes on to be pretrained, in a folder for each fold
continued() {
  echo "$data/continued/${folds##*/}$from"
}

# continue_backbone: for systems called *_tapt, on the training part of each fold alone, without labels
continue_backbone() {
  local config num_folds
  if [[ " $system $curve_system " != *_tapt* ]]; then return; fi
  config s3/tapt
  num_folds=$(count_runs.py --num-seeds 1 "$folds")
  $cuda_cmd --gpu "$gpu" --max-jobs-run "$train_nj" JOB=1:"$num_folds" "$data/log/continue_$protocol$from.JOB.log" \
    pretrain_ssl.py "${config[@]}" --folds "$folds" --fold-number JOB --init "$backbone" \
    --cuts "$(cuts_of_corpus)" "$(continued)/FOLD"
}

# features_of SYSTEM: set kind, the features that it reads by its name, cuts, where they are, and inputs, with the cuts of
# words where it reads them
features_of() {
  case $1 in
    *_finetune* | *_on_the_fly* | s3b_backbone_*) kind=audio ;;
    s3b_acoustic_*) kind=mfcc ;;
    s3b_cnn*) kind=logmel ;;
    *_functionals*) kind=functionals ;;
    *_random*) kind=ssl_random ;;
    *_attention* | *_frames* | s3a_*) kind=ssl_frames ;;
    *) kind=ssl ;;
  esac
  inputs=()
  case $kind in
    audio) cuts=$(cuts_of_corpus) ;;
    mfcc | logmel | functionals) cuts=$data/$kind/cuts.jsonl.gz ;;
    *) cuts=$data/$kind/${from#_from_}/cuts.jsonl.gz ;;
  esac
  case $1 in
    *_tapt*) inputs=(--backbone "$(continued)/FOLD/backbone") ;;
    *_finetune* | *_on_the_fly* | s3b_backbone_*) inputs=(--backbone "$backbone") ;;
    s3b_acoustic_*)
      [ -n "${pretrained-}" ] || recipe_error "--system $1 needs --pretrained, an LF-MMI experiment of egs/tedlium2"
      inputs=(--pretrained "$pretrained/checkpoint") ;;
    *_recognised_words*) inputs=(--cuts "$data/recognised_text/$(words_from)$(heard_by)/cuts.jsonl.gz") ;;
    *_words*)
      inputs=(--cuts "$data/text/$(words_from)/cuts.jsonl.gz")
      if [[ $1 == *_words_timed* ]]; then inputs+=(--cuts "$data/word_times/cuts.jsonl.gz"); fi ;;
  esac
}

# words_from: the name of the model of words
words_from() {
  local path=${text_backbone-}
  path=${path%/}
  echo "${path##*/}"
}

# heard_by: which recogniser heard the words, as a part of names
heard_by() {
  echo "_from_$(experiment_name "${recogniser-}")"
}

# extract_words text|recognised_text [OPTION...]: by the model of words, of the transcripts or of what was recognised
extract_words() {
  [ -n "${text_backbone-}" ] || recipe_error "systems that read words need --text-backbone DIR, a BERT or its like"
  config "features/$1"
  local cuts name
  cuts=$(cuts_of_corpus)
  name=$(words_from)
  if [ "$1" = recognised_text ]; then name+=$(heard_by); fi
  $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$data/log/$1_$name.JOB.log" compute_features.py "${config[@]}" \
    --input "backbone=$text_backbone" "${@:2}" --job JOB --num-jobs "$nj" "$cuts" "$data/$1/$name"
  $train_cmd "$data/log/$1_$name.collect.log" collect_features.py "${config[@]}" \
    --input "backbone=$text_backbone" "${@:2}" "$cuts" "$data/$1/$name"
}

# hear_words: what an acoustic-to-word recogniser makes of the corpus, for S3a's systems on recognised words
hear_words() {
  [ -n "${recogniser-}" ] || recipe_error "systems on recognised words need --recogniser, an acoustic-to-word experiment"
  local from cuts=$data/fbank/cuts.jsonl.gz recognised
  from=$(heard_by)
  recognised=$data/a2w/${from#_from_}
  [ -d "$recogniser/checkpoint" ] || recipe_error "--recogniser $recogniser: there is no checkpoint; train it first"
  compute_features fbank
  recognise_words
  extract_words recognised_text --input "transcripts=$recognised/transcripts.csv"
}

# kinds_of SYSTEM...: add to kinds what they read and it has not yet
kinds_of() {
  local one also kind cuts inputs
  for one in "$@"; do
    features_of "$one"
    case $one in
      *_recognised_words*) kind+=" recognised_text" ;;
      *_words_timed*) kind+=" text word_times" ;;
      *_words*) kind+=" text" ;;
    esac
    for also in $kind; do
      if [[ " $kinds " != *" $also "* ]]; then kinds+=" $also"; fi
    done
  done
}

# extract_layers: of every kind that $system reads
extract_layers() {
  local kinds=ssl
  # shellcheck disable=SC2086  # several systems
  kinds_of $system
  extract_kinds "$kinds"
}

# extract_for_curves: of every kind that $curve_system reads and $system does not
extract_for_curves() {
  local kinds=ssl made
  # shellcheck disable=SC2086  # several systems
  kinds_of $system
  made=$kinds
  # shellcheck disable=SC2086
  kinds_of $curve_system
  extract_kinds "${kinds#"$made"}"
}

extract_kinds() {
  local kind cuts
  cuts=$(cuts_of_corpus)
  for kind in $1; do
    local log=$data/log/$kind$from
    case $kind in
      audio) continue ;;
      text) extract_words text; continue ;;
      recognised_text) hear_words; continue ;;
      functionals | mfcc | logmel | word_times) compute_features "$kind"; continue ;;
    esac
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
  if [ $# -gt 2 ]; then extract_for_curves; fi
  local name=$1 comparison=$2 one folds suffix protocol layers=none system=$curve_system num_seeds=1
  local -A of=()
  for protocol in "${@:3}"; do
    folds=$data/folds/$protocol suffix=_$protocol$from
    make_folds
    continue_backbone
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
