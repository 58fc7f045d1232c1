# S2, S5: networks of other tasks, or of another corpus, that emotion systems transfer from; each fold and seed has its
# own.
#
# They read the options protocol, system, sources, other (others, audioset, heard, system_set), num_seeds, train_nj and
# gpu, and data, results, suffix, paper and ratings (fields that are cut into bins, or are numbers, as the protocol's own
# target is); source_cuts and source_suffix where sources hear something else than the systems.
# shellcheck shell=bash disable=SC2034,SC2154

# source_folds: for each of $sources folds whose target it is; they divide the train part of each emotion fold, or
# are the same parts where nobody minds that a source knows the tested speakers
source_folds() {
  local source how
  for source in $sources; do
    # the same task through a narrow band: the same folds
    if [[ $source == band* ]]; then continue; fi
    how=(--set "target={field: $source}")
    if [[ " ${ratings-} " == *" $source "* ]]; then how=(--set "target.field=$source"); fi
    if [ "$source" = speaker ] && ! grep -q '"speaker_dependent": true' "$folds/folds.json"; then
      how+=(--set protocol=known_speakers --set "options={like: $folds}")
    fi
    if [ -n "${copies-}" ]; then how+=(--set copies=all); fi
    divide "$source.${folds##*/}" "${folds##*/}_$source" "${how[@]}"
  done
}

# band_of SOURCE: the bandwidth in Hz of a source called bandHZ, around what conf/features/logmel_band.yaml says
band_of() {
  [[ $1 =~ ^band([0-9]+)$ ]] || recipe_error "--sources $1: a band is called band and its width in Hz, such as band100"
  echo "${BASH_REMATCH[1]}"
}

# band_features: of each source that hears a narrow band only, and of the systems (heard) if they do
band_features() {
  local source width
  for source in $sources ${heard-}; do
    if [[ $source != band* ]]; then continue; fi
    width=$(band_of "$source")
    compute_features logmel "" "$source" logmel_band --set "perturb.band_pass.bandwidth=$width"
  done
}

# source_experiment SOURCE: where its network is trained
source_experiment() {
  echo "${results}source_$1${source_suffix-$suffix}"
}

train_sources() {
  local source exp own one of_source source_folds
  config "$paper/source"
  for source in $sources; do
    own=() of_source=${source_cuts-$cuts} source_folds=${folds}_$source
    for one in ${system_set-}; do own+=(--set "$one"); done
    if [[ $source == band* ]]; then
      of_source=$data/logmel/$source/cuts.jsonl.gz source_folds=$folds
      own=(${settings[@]+"${settings[@]}"})
    fi
    # where the target is a number, ratings as sources are numbers too
    if [[ " ${ratings-} " == *" $source "* ]]; then own=(${settings[@]+"${settings[@]}"}); fi
    exp=$(source_experiment "$source")
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py "${config[@]}" "${own[@]}" \
      --cuts "$of_source" --folds "$source_folds" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
    score.py "${config[@]}" "${own[@]}" --folds "$source_folds" --num-seeds "$num_seeds" \
      --command "$(command_line)" "$exp"
  done
}

# other_network SYSTEM: set other_checkpoint to that of --others, NAME=CHECKPOINT, that S2's ptft_NAME or prognet_NAME
# transfers from; false if it is none of them
other_network() {
  local one
  for one in ${others-}; do
    [[ $one == *=* ]] || recipe_error "--others $one: NAME=CHECKPOINT is expected"
    case $1 in "ptft_${one%%=*}" | "prognet_${one%%=*}") other_checkpoint=${one#*=} && return ;; esac
  done
  return 1
}

# s2_file SYSTEM: the file with its settings: from any of --others as from the other corpus
s2_file() {
  local other_checkpoint
  if other_network "$1"; then echo "${1%%_*}_other"; else echo "$1"; fi
}

# source_inputs SYSTEM: set inputs to what a system called so transfers from
source_inputs() {
  local source other_checkpoint
  inputs=()
  if other_network "$1"; then
    inputs=(--input "other=$other_checkpoint")
    return
  fi
  # learns the speakers along, from the manifest
  if [[ $1 == multitask_* ]]; then return; fi
  for source in $sources; do
    case $1 in *_"$source" | *_both) inputs+=(--input "$source=$(source_experiment "$source")/fold_FOLD/seed_SEED/checkpoint") ;; esac
  done
  case $1 in *_other)
    [ -n "$other" ] || recipe_error "--system $1 needs --other, the dnn experiment of another corpus"
    inputs+=(--input "other=$other/fold_FOLD/seed_SEED/checkpoint") ;;
  esac
}

# each_protocol FUNCTION...: for each of $protocols; of the other corpus there are the folds of the first only
each_protocol() {
  local first=$protocol all=$system one
  for protocol in $protocols; do
    if [ "$protocol" != "$first" ]; then
      system=
      for one in $all; do
        if [[ $one != *_other ]]; then system+=" $one"; fi
      done
      if [ -z "$system" ]; then
        echo "not on folds $protocol: all of --system transfer from --other, whose folds are $first"
        continue
      fi
    fi
    name_folds
    "$@"
  done
  system=$all protocol=$first
  name_folds
}

# compare_of_protocol NAME: the comparison of the folds of now
compare_of_protocol() {
  compare_systems "$1$suffix"
}

# current_of_protocol NAME: see check_current, of the folds of now
current_of_protocol() {
  check_current "$results$1$suffix/comparison.json"
}

# fewer_training_folds: what S2's figure 4 compares, for each of $amounts, if the protocol is what they are parts of
fewer_training_folds() {
  local all=$system whole=$protocol
  if [ -z "$other" ] || [[ " ${amounts-}" != *" ${whole}_"* ]]; then
    echo "not needed: figure 4 is of --other and --amounts"
    return
  fi
  system="dnn ptft_other prognet_other"
  for protocol in $amounts; do
    name_folds
    make_folds
    train_transfer_systems
    score_systems
    compare_systems "comparison_$paper$suffix"
  done
  system=$all protocol=$whole
  name_folds
}

# cnn14_file SYSTEM: the file with its settings: cnn14_NAME_all is that of cnn14_all, whatever it starts from, unless
# there is one of its own
cnn14_file() {
  local layers=${1##*_}
  if [[ $1 == cnn14_*_all || $1 == cnn14_*_linear ]] \
    && [ ! -e "../common/conf/s5/$1.yaml" ] && [ ! -e "conf/s5/$1.yaml" ]; then
    echo "cnn14_$layers"
  else
    echo "$1"
  fi
}

# cnn14_inputs SYSTEM: set inputs to what cnn14_NAME_all or cnn14_NAME_linear of S5 starts from: a source, AudioSet or
# one of --others, NAME=CHECKPOINT[,FOLDS,CUTS]
cnn14_inputs() {
  local name=${1#cnn14_} one
  name=${name%_all}
  name=${name%_linear}
  inputs=()
  if [ "$name" = random ]; then return; fi
  if [ "$name" = audioset ]; then
    [ -n "$audioset" ] || recipe_error "--system $1 needs --audioset, PANNs' file"
    inputs=(--input "audioset=$audioset")
    return
  fi
  for one in $others; do
    if [ "${one%%=*}" = "$name" ]; then
      one=${one#*=}
      inputs=(--input "source=${one%%,*}")
    fi
  done
  if [ ${#inputs[@]} -gt 0 ]; then return; fi
  [[ " $sources " == *" $name "* ]] \
    || recipe_error "--system $1 starts from $name, which is neither among --sources nor among --others"
  inputs=(--input "source=$(source_experiment "$name")/fold_FOLD/seed_SEED/checkpoint")
}

# train_transfer_systems [FUNCTION]: as train_systems, each with its own sources, which FUNCTION SYSTEM sets
train_transfer_systems() {
  local all=$system one
  [ -n "${all// }" ] || recipe_error "--system is empty: nothing would be trained"
  for one in $all; do
    "${1:-source_inputs}" "$one"
    system=$one
    train_systems
  done
  system=$all
}

# linear_pairs: set pairs, so that of each source that was trained both ways all layers are compared with the linear ones
linear_pairs() {
  local one
  pairs=
  for one in $system; do
    if [[ $one == *_linear ]]; then pairs+=" $one,${one%_linear}_all"; fi
  done
}

# transfer_picture NAME COMPARISON: what each source gained, by similarity of its task and its acoustics; of --sources,
# and of --others that are given with their folds and features
transfer_picture() {
  local source one given=() rated=()
  for source in $sources; do
    if [[ " $system " != *"_${source}_"* ]]; then continue; fi
    case $source in
      band*) given+=("$source=$folds,$data/logmel/$source/cuts.jsonl.gz") ;;
      *) given+=("$source=${folds}_$source,${source_cuts-$cuts}") ;;
    esac
  done
  for one in $others; do
    if [[ $one == *,*,* && " $system " == *"_${one%%=*}_"* ]]; then given+=("${one%%=*}=${one#*,}"); fi
  done
  if [ -n "${ratings-}" ]; then
    rated=(--supervisions "$(supervisions_of_corpus)" --ratings)
    for one in $ratings; do rated+=("$one"); done
  fi
  if [ ${#given[@]} -gt 0 ] && [ -e "$results$2/comparison.json" ]; then
    plot_transfer.py --comparison "$results$2" --folds "$folds" --cuts "$cuts" --output "$results$1" "${given[@]}" \
      "${rated[@]}"
  fi
}
