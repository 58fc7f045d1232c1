# Many systems on many tasks, a task being folds of one corpus or of several: egs/benchmark.
#
# They read the options corpora, tasks, systems, pretrained, backbone, num_seeds, nj, train_nj, shards and gpu.
#
# Whatever stands in --pretrained and --backbone is one network or several: a system that is carried from them is an
# experiment of each, SYSTEM_from_NETWORK.
# shellcheck shell=bash disable=SC2034,SC2154

# benchmark_plan: set names (of corpora), where (name to folder), task_list, corpora_of (task to corpora), system_list,
# reads, needs (of a system), simple (systems) and kinds (of features): what of conf/tasks and conf/systems can be run
benchmark_plan() {
  local one name rest need task of option called=''
  declare -gA where=() corpora_of=() reads=() needs=()
  names='' task_list='' system_list='' simple='' kinds='' all_sources=''
  demo=false
  # one space between networks and none before them: the first is taken by what stands before a space
  pretrained=$(one_line "$pretrained") backbone=$(one_line "$backbone")
  if [ -z "$corpora" ]; then
    demo=true corpora="iemocap=data/iemocap/corpus msp_improv=data/msp_improv/corpus"
  fi
  check_named --corpora "$corpora"
  check_once --tasks "$tasks"
  check_once --systems "$systems"
  check_networks --pretrained "$pretrained"
  check_networks --backbone "$backbone"
  for one in $corpora; do
    names+=" ${one%%=*}"
    where[${one%%=*}]=${one#*=}
  done
  while read -r task of; do
    [[ -n $of && -z ${corpora_of[$task]-} ]] || recipe_error "conf/tasks: $task has no corpora, or is there twice"
    corpora_of[$task]=$of
    if [ -z "$tasks" ] && all_given "$of"; then task_list+=" $task"; fi
  done < <(plan_lines conf/tasks)
  for one in $tasks; do
    [ -n "${corpora_of[$one]-}" ] || recipe_error "--tasks $one: conf/tasks has ${!corpora_of[*]}"
    all_given "${corpora_of[$one]}" || recipe_error "--tasks $one needs --corpora for ${corpora_of[$one]}"
    task_list+=" $one"
  done
  [ -n "$task_list" ] || recipe_error "no task of conf/tasks is on${names} alone"
  while read -r name rest need of; do
    [[ $need == - || $need == @(pretrained|shape|backbone) || $need == @(source|package):?* ]] ||
      recipe_error "conf/systems: $name needs '$need', and that is -, pretrained, shape, backbone, source:FIELD or package:MODEL"
    [[ -z $of || $of == simple ]] || recipe_error "conf/systems: the last column of $name is simple or nothing, not '$of'"
    # their experiments are called like them
    [[ "$called " != *" ${name##*/} "* ]] || recipe_error "conf/systems: two systems are called ${name##*/}"
    called+=" ${name##*/}"
    if [ -n "$systems" ] && [[ " $systems " != *" $name "* ]]; then continue; fi
    if [[ $need == @(pretrained|shape|backbone) ]]; then
      option=${need/shape/pretrained}
      if [ -z "${!option}" ]; then
        [ -z "$systems" ] || recipe_error "--systems $name needs --$option"
        echo "$name is not run: no --$option"
        continue
      fi
    fi
    system_list+=" $name"
    reads[$name]=$rest needs[$name]=$need
    if [ "$of" = simple ]; then simple+=" ${name##*/}"; fi
    [[ $rest == - || " $kinds " == *" $rest "* ]] || kinds+=" $rest"
    if [[ $need == source:* && " $all_sources " != *" ${need#*:} "* ]]; then all_sources+=" ${need#*:}"; fi
  done < <(plan_lines conf/systems)
  for one in $systems; do
    [ -n "${reads[$one]-}" ] || recipe_error "--systems $one: there is no such line in conf/systems"
  done
  # layers of a pretrained network are made from MFCC
  if [[ " $kinds " == *" bottleneck "* && " $kinds " != *" mfcc "* ]]; then kinds="mfcc $kinds"; fi
}

# one_line WORDS: with one space between them
one_line() {
  local words=()
  read -rd '' -a words <<< "$1" || true
  echo "${words[*]-}"
}

# plan_lines FILE: those that say something, the last one also without its end, without what another system ends lines with
plan_lines() { awk '{ sub(/\r$/, "") } NF && $1 !~ /^#/' "$1"; }

# all_given CORPORA
all_given() {
  local one
  for one in $1; do [[ " $names " == *" $one "* ]] || return 1; done
}

# has_sources TASK: speakers of one corpus train
has_sources() { [[ ${corpora_of[$1]} != *" "*" "* ]]; }

# each_corpus FUNCTION ARGUMENT...: with dataset, corpus and data set to those of each corpus
each_corpus() {
  local dataset corpus data
  for dataset in $names; do
    corpus=${where[$dataset]} data=data/$dataset
    "$@"
  done
}

benchmark_demo() {
  $train_cmd "$data/log/make_demo_corpus.log" make_demo_corpus.py "$dataset" --config "conf/demo.yaml:$dataset" \
    "$corpus"
}

# check_networks OPTION FOLDERS: experiments and features are called after them
check_networks() {
  local one names=''
  for one in $2; do names+=" $(experiment_name "$one")"; done
  check_once "$1" "$names"
}

# networks_of KIND: those that features of a kind are layers of; - where it needs none
networks_of() {
  case $1 in
    ssl) echo "$backbone" ;;
    bottleneck) echo "$pretrained" ;;
    *) echo - ;;
  esac
}

# networks_for SYSTEM: those that it is carried from; of shape, the first
networks_for() {
  case ${needs[$1]} in
    shape) echo "${pretrained%% *}" ;;
    *) networks_of "${reads[$1]}" ;;
  esac
}

# features_in KIND NETWORK: where cuts with features of a kind lie, below data/CORPUS or data/TASK
features_in() {
  if [ "$2" = - ]; then echo "$1"; else echo "$1/$(experiment_name "$2")"; fi
}

# system_experiment TASK SYSTEM NETWORK: set exp, config and layer
system_experiment() {
  local results=exp/$1/ suffix='' paper=${2%/*} settings=()
  if [ "$3" != - ] && [ "${needs[$2]}" != shape ]; then suffix=_from_$(experiment_name "$3"); fi
  experiment "${2##*/}"
}

# benchmark_features: of one corpus, of every kind that a system reads
benchmark_features() {
  local kind network input cuts made log
  for kind in $kinds; do
    for network in $(networks_of "$kind"); do
      case $kind in
        ssl) input=(--input "backbone=$network") cuts=$data/manifests/${dataset}_cuts_all.jsonl.gz ;;
        bottleneck) input=(--input "pretrained=$network/checkpoint") cuts=$data/mfcc/cuts.jsonl.gz ;;
        *)
          compute_features "$kind"
          continue ;;
      esac
      config "features/$kind"
      made=$data/$(features_in "$kind" "$network")
      log=$data/log/${kind}_$(experiment_name "$network")
      $cuda_cmd --gpu "$gpu" JOB=1:"$nj" "$log.JOB.log" compute_features.py "${config[@]}" "${input[@]}" \
        --job JOB --num-jobs "$nj" "$cuts" "$made"
      $train_cmd "$log.collect.log" collect_features.py "${config[@]}" "${input[@]}" "$cuts" "$made"
    done
  done
}

# benchmark_folds: of each task, and of each source of it
benchmark_folds() {
  local task one given overlay=() source
  if $demo; then overlay=(--overlay conf/demo.yaml); fi
  for task in $task_list; do
    given=(--config "conf/folds/$task.yaml" "${overlay[@]}")
    for one in ${corpora_of[$task]}; do
      given+=(--supervisions "data/$one/manifests/${one}_supervisions_all.jsonl.gz")
    done
    $train_cmd "data/log/make_folds.$task.log" make_folds.py "${given[@]}" "data/folds/$task"
    if ! has_sources "$task"; then continue; fi
    for source in $all_sources; do
      $train_cmd "data/log/make_folds.${task}_$source.log" make_folds.py "${given[@]}" --set "target={field: $source}" \
        --set protocol=known_speakers --set "options={like: data/folds/$task}" "data/folds/${task}_$source"
    done
  done
}

# task_cuts TASK KIND NETWORK: set cuts to the manifest with features of all corpora of the task
task_cuts() {
  local one part found=()
  part=$(features_in "$2" "$3")
  for one in ${corpora_of[$1]}; do found+=("data/$one/$part/cuts.jsonl.gz"); done
  cuts=${found[0]}
  if [ ${#found[@]} -gt 1 ]; then cuts=data/${corpora_of[$1]// /+}/$part/cuts.jsonl.gz; fi
}

# combine_features: of the corpora of tasks on several
combine_features() {
  local task kind network one part found cuts
  for task in $task_list; do
    if [[ ${corpora_of[$task]} != *" "* ]]; then continue; fi
    for kind in $kinds; do
      for network in $(networks_of "$kind"); do
        part=$(features_in "$kind" "$network") found=()
        for one in ${corpora_of[$task]}; do found+=("data/$one/$part/cuts.jsonl.gz"); done
        task_cuts "$task" "$kind" "$network"
        $train_cmd "data/log/combine_${corpora_of[$task]// /+}_${part//\//_}.log" combine_cuts.py "${found[@]}" "${cuts%/*}"
      done
    done
  done
}

# plan_training PLAN FOLDS CUTS EXPERIMENT OPTION...: a line of the plan for each share of an experiment's trainings
plan_training() {
  local share
  for ((share = 1; share <= shards; share++)); do
    printf '%q ' train_emotion.py "${@:5}" --cuts "$3" --folds "$2" --job "$share" --num-jobs "$shards" \
      --num-seeds "$num_seeds" "$4" >> "$1"
    echo >> "$1"
  done
}

# A row of the table is trained, or a model is applied: plan_trained and plan_applied, measured_trained and measured_applied
way_of() {
  if [[ ${needs[$1]} == package:* ]]; then echo applied; else echo trained; fi
}

# plan_trained PLAN TASK SYSTEM NETWORK: lines of the plan for a system on a task
plan_trained() {
  local exp config layer cuts inputs source=${needs[$3]#*:}
  system_experiment "$2" "$3" "$4"
  task_cuts "$2" "${reads[$3]}" "$4"
  case ${needs[$3]} in
    pretrained | shape) inputs=(--pretrained "$4/checkpoint") ;;
    source:*)
      if ! has_sources "$2"; then
        echo "$3 is not run on $2: a source network is of one corpus"
        return
      fi
      inputs=(--input "$source=exp/$2/source_$source/fold_FOLD/seed_SEED/checkpoint") ;;
    *) inputs=() ;;
  esac
  plan_training "$1" "data/folds/$2" "$cuts" "$exp" "${config[@]}" "${layer[@]}" "${inputs[@]}"
}

# plan_applied PLAN TASK SYSTEM NETWORK: a line of the plan for a model that is not trained here
plan_applied() {
  local exp config layer one given=()
  system_experiment "$2" "$3" "$4"
  for one in ${corpora_of[$2]}; do given+=(--cuts "data/$one/manifests/${one}_cuts_all.jsonl.gz"); done
  printf '%q ' predict_folds.py --model "${needs[$3]#*:}" "${given[@]}" --folds "data/folds/$2" "$exp" >> "$1"
  echo >> "$1"
}

# measured_trained SYSTEM EXPERIMENT, measured_applied SYSTEM EXPERIMENT: whose speed is measured
measured_trained() { echo "$2"; }
measured_applied() { echo "${needs[$1]#*:}"; }

# run_plan PLAN: its lines as an array of jobs, whose logs lie beside it; each run of the script has plans of its own
run_plan() {
  local count
  count=$(wc -l < "$1")
  if [ "$count" -gt 0 ]; then
    $cuda_cmd --gpu "$gpu" --max-jobs-run "$train_nj" JOB=1:"$count" "$1.JOB.log" \
      bash -euc "eval \"\$(sed -n JOBp $1)\""
  fi
}

# benchmark_sources: networks of other tasks, one for each fold and seed
benchmark_sources() {
  local task source cuts plan=exp/log/sources_$$
  mkdir -p exp/log
  : > $plan
  for task in $task_list; do
    if ! has_sources "$task"; then continue; fi
    for source in $all_sources; do
      config s2/source
      task_cuts "$task" functionals -
      plan_training $plan "data/folds/${task}_$source" "$cuts" "exp/$task/source_$source" "${config[@]}"
    done
  done
  run_plan $plan
}

# benchmark_systems: each on each task
benchmark_systems() {
  local task one network plan=exp/log/systems_$$
  mkdir -p exp/log
  : > $plan
  for task in $task_list; do
    for one in $system_list; do
      for network in $(networks_for "$one"); do "plan_$(way_of "$one")" $plan "$task" "$one" "$network"; done
    done
  done
  run_plan $plan
}

# benchmark_speeds: the real-time factor of each system, on the first task that it has finished
benchmark_speeds() {
  local task one network exp layer first given run measured
  for one in $system_list; do
    for network in $(networks_for "$one"); do
      given=()
      if [ "${needs[$one]}" = backbone ]; then given=(--input "backbone=$network"); fi
      for task in $task_list; do
        system_experiment "$task" "$one" "$network"
        run=$(compgen -G "$exp/fold_*/seed_1/predictions.csv" | head -n 1) || continue
        first=${corpora_of[$task]%% *} measured=$("measured_$(way_of "$one")" "$one" "$exp")
        if [ ! "$exp/speed.json" -nt "$run" ]; then
          $train_cmd "exp/log/speed_${exp##*/}.log" measure_speed.py "${given[@]}" --output "$exp" \
            --cuts "data/$first/manifests/${first}_cuts_all.jsonl.gz" "$measured"
        fi
        break
      done
    done
  done
}

# benchmark_page: one table and page of all that was run; what of the systems of this command was trained with other
# settings than those of now says so
benchmark_page() {
  local task given=() one network exp config layer source checked=() told=exp/log/settings_$$.json
  for task in $task_list; do
    given+=(--task "$task=data/folds/$task")
    if [ -e "exp/curve/$task/curve.png" ]; then given+=(--curve "$task=exp/curve/$task"); fi
    for one in $system_list; do
      if [ "$(way_of "$one")" = applied ]; then continue; fi
      for network in $(networks_for "$one"); do
        system_experiment "$task" "$one" "$network"
        if [ -e "$exp" ]; then checked+=("${config[@]}" "${layer[@]}" --of "$exp"); fi
      done
    done
    for source in $all_sources; do
      config s2/source
      exp=exp/$task/source_$source
      if [ -e "$exp" ]; then checked+=("${config[@]}" --of "$exp"); fi
    done
  done
  if [ ${#checked[@]} -gt 0 ]; then
    mkdir -p exp/log
    check_runs.py --quiet --report "$told" "${checked[@]}"
    given+=(--other-settings "$told")
  fi
  make_benchmark.py "${given[@]}" --simple "$simple" --num-seeds "$num_seeds" --command "$(command_line)" \
    --output exp/benchmark exp
  # it is in the table now
  rm -f "$told"
}
