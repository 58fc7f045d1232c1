# Trainings of emotion systems, their scores, and their comparison: for every paper.
#
# They read the options system, num_seeds, train_nj and gpu, and set by the script (transfer_inputs, heard_words):
# paper (the folder in conf/), folds, cuts, inputs (options of train_emotion.py), suffix (of experiments' names), and
# settings (--set KEY=VALUE over each system's configuration that has KEY, if set), and file_of (if set: the function that
# says which file a system's settings are in, if it is not called like the system).
# shellcheck shell=bash disable=SC2034,SC2154

# name_folds: set folds, suffix (of experiments' names), and settings where a number is predicted (by
# conf/folds/PROTOCOL.yaml, or the option --target of egs/own): what systems' files say is for classes
name_folds() {
  local field=${target-}
  field=${field%%:*}
  check_name --protocol "$protocol"
  check_once --system "${system-}"
  check_named --others "${others-}"
  folds=$data/folds/$protocol${field:+_$field} suffix=_$protocol${field:+_$field} settings=()
  if [[ ${target-} == *:number ]]; then
    number_settings
  elif [ -z "$field" ] && grep -qs 'kind: number' "conf/folds/$protocol.yaml"; then
    number_settings
  fi
}

# those for all systems; one that has no such settings, as an SVM, which selects no epoch, is trained without (experiment)
number_settings() {
  settings=(--set training.select_by=dev_ccc --set data.class_weights=none)
}

# find_experiment SYSTEM[:LAYER[+LAYER]]: set exp
find_experiment() {
  check_name --system "$1"
  exp=$results${1/:/_}$suffix
}

# experiment SYSTEM[:LAYER[+LAYER]]: set exp, config (of the system) and layer (options of train_emotion.py)
experiment() {
  find_experiment "$1"
  config "$paper/$("${file_of:-echo}" "${1%%:*}")"
  local layers=${1#*:} taken
  layer=()
  if [ -n "${settings[*]-}" ]; then
    taken=$(take_settings.py "${config[@]}" "${settings[@]}")
    if [ -n "$taken" ]; then mapfile -t layer <<< "$taken"; fi
  fi
  if [[ $1 == *:* ]]; then layer+=(--set "model.layers=[${layers//+/,}]"); fi
}

# several_of_each: leave out of $system what normalises by speaker by default ($by_speaker), where the folds' utterances
# cannot be
several_of_each() {
  local one why kept=()
  if [[ -z $by_speaker || ! -e $folds/folds.json ]]; then return; fi
  why=$(check_speakers.py "$folds")
  if [ -z "$why" ]; then return; fi
  for one in $system; do
    if [[ " $by_speaker " == *" $one "* ]]; then echo "$one is not trained: $why"; else kept+=("$one"); fi
  done
  system="${kept[*]}"
}

# train_systems: each of $system, all folds and seeds of it shared by the jobs
train_systems() {
  local one
  [ -n "${system// }" ] || recipe_error "--system is empty: nothing would be trained"
  for one in $system; do
    experiment "$one"
    $cuda_cmd --gpu "$gpu" JOB=1:"$train_nj" "$exp/log/train.JOB.log" train_emotion.py "${config[@]}" "${layer[@]}" \
      "${inputs[@]}" --cuts "$cuts" --folds "$folds" \
      --job JOB --num-jobs "$train_nj" --num-seeds "$num_seeds" "$exp"
  done
}

# score_systems [OPTION...]: a page for each of $system; OPTIONs are those of score.py
score_systems() {
  local one listen=() heard
  heard=$(cuts_of_corpus)
  # the page gets players of the surest mistakes
  if [ -e "$heard" ]; then listen=(--listen "$heard"); fi
  for one in $system; do
    experiment "$one"
    # runs that were trained with other settings than those of now are refused
    score.py "${config[@]}" "${layer[@]}" --folds "$folds" --num-seeds "$num_seeds" ${listen[@]+"${listen[@]}"} "$@" \
      --command "$(command_line)" "$exp"
  done
}

# compare_systems NAME [GROUP=SYSTEM,SYSTEM,...]...: the first of $system with each other one, and with each group
# as that system of it that is the best on dev in each fold; with the option against, if there is one, as all pairs;
# and the two systems of each FIRST,SECOND of $pairs, if it is set
compare_systems() {
  local one group members trained compared=() output=$results$1 how=(--against "${against:-first}")
  for one in ${pairs-}; do
    if [[ " $system " == *" ${one%,*} "* && " $system " == *" ${one#*,} "* ]]; then how+=(--pair "$one"); fi
  done
  for one in $system; do
    find_experiment "$one"
    compared+=("$one=$exp")
  done
  for group in "${@:2}"; do
    members='' trained=false
    for one in $(tr ',' ' ' <<< "${group#*=}"); do
      find_experiment "$one"
      members+=,$exp
      if [ -e "$exp" ]; then trained=true; fi
    done
    if $trained; then
      compared+=(--choose-on-dev "${group%%=*}=${members#,}")
    else
      echo "${group%%=*} is not compared: none of ${group#*=} is trained"
    fi
  done
  if [ ${#compared[@]} -gt 1 ]; then
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "$(command_line)" --output "$output" "${how[@]}" \
      "${compared[@]}"
    echo "open $PWD/$output/comparison.html"
  elif [ ${#compared[@]} = 1 ]; then
    find_experiment "${compared[0]%%=*}"
    echo "open $PWD/$exp/results/report.html"
  fi
}

# compare_with NAME LABEL=EXPERIMENT...: each of these experiments with all of $system
compare_with() {
  local one other compared=()
  for one in $system; do
    find_experiment "$one"
    compared+=("$one=$exp")
  done
  for other in "${@:2}"; do
    compare.py --folds "$folds" --num-seeds "$num_seeds" --command "$(command_line)" \
      --output "$results$1_with_${other%%=*}$suffix" "$other" "${compared[@]}"
  done
}

# check_current COMPARISON: the runs of $system are of the settings of now, and not newer than their results and the
# comparison, which were made of them: a stage that is run by itself shows nothing that is old
check_current() {
  local one file checked=()
  for one in $system; do
    experiment "$one"
    if [ ! -e "$exp" ]; then continue; fi
    for file in "$1" "$exp/results/results.json"; do
      if [ -e "$file" ] && [ -n "$(find "$exp" -path '*/seed_*/predictions.csv' -newer "$file" -print -quit)" ]; then
        recipe_error "$file is older than predictions of $exp: run the stage of scores and comparison again, before this one"
      fi
    done
    if [ -e "$1" ] || [ -e "$exp/results/results.json" ]; then checked+=("${config[@]}" "${layer[@]}" --of "$exp"); fi
  done
  if [ ${#checked[@]} -gt 0 ]; then check_runs.py --quiet --num-seeds "$num_seeds" "${checked[@]}"; fi
}

# paper_page COMPARISON [TAIL]: what the paper published beside the comparison $results$COMPARISON_PROTOCOL$TAIL, of
# this protocol (or of each of $protocols, if they are several) and of every other one that was compared; word errors and
# the like are those of $system
paper_page() {
  local folder name given=() experiments=() one
  for folder in "$results$1"_*"${2-}"; do
    name=${folder#"$results$1"_}
    if [ -n "${2-}" ]; then name=${name%"$2"}; fi
    # of another system's name, or of another pretrained network
    if [ ! -e "conf/folds/$name.yaml" ] || [ ! -e "$folder/comparison.json" ]; then continue; fi
    given+=(--comparison "$name=$folder")
  done
  if [ -n "${protocols-}" ]; then
    each_protocol current_of_protocol "$1"
  else
    check_current "$results$1_$protocol${2-}/comparison.json"
  fi
  for one in $system; do
    experiment "$one"
    if [ -e "$exp/results/results.json" ]; then experiments+=("$one@$protocol=$exp"); fi
  done
  # curves over the amount of training data, of papers that have some
  if [ -n "${curve-}" ] && [ -e "${results}curve_$paper${2-}/curve.json" ]; then given+=(--curve "${results}curve_$paper${2-}"); fi
  paper_page.py --if-any --paper "../common/papers/$paper.yaml" --command "$(command_line)" --output "${results}paper_$paper${2-}" \
    "${given[@]}" "${experiments[@]}"
}
