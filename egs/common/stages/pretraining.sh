# Recognisers pretrained on parts of transcribed speech, and systems carried from each: egs/benchmark/run_pretraining.sh.
#
# They read the options of that script.
# shellcheck shell=bash disable=SC2034,SC2154

# pretraining_plan: set spoken (names of speech), heard (name to manifests), parts ("NAME SIZE" a line, of each a network
# for each of seeds)
pretraining_plan() {
  local one size name of
  declare -gA heard=()
  spoken='' parts=()
  given_speech=${speech:-demo=$PWD/data/speech/demo_manifests/tedlium2_cuts_train.jsonl.gz}
  check_named --speech "$given_speech"
  check_once --minutes "$minutes"
  check_seeds
  check_once --systems "$systems"
  check_once --level "$level"
  [ -n "$systems" ] || recipe_error "--systems is empty: nothing would be trained"
  for one in $given_speech; do
    [[ ${one%%=*} != *[+,]* ]] || recipe_error "--speech $one: a name without + and comma is needed, which join experiments of a curve"
    spoken+=" ${one%%=*}"
    heard[${one%%=*}]=${one#*=}
  done
  for one in $minutes; do
    size=${one#*:} of=$spoken
    if [[ $one == *:* ]]; then of=${one%%:*}; fi
    [[ $size =~ ^(all|(0\.)?[1-9][0-9]*(\.[0-9]*[1-9])?)$ ]] ||
      recipe_error "--minutes $one: a number above 0 is needed, as 10 or 2.5, or all"
    for name in $of; do
      [ -n "${heard[$name]-}" ] || recipe_error "--minutes $one: --speech has no $name, but$spoken"
      parts+=("$name $size")
    done
  done
  [ ${#parts[@]} -gt 0 ] || recipe_error "--minutes is empty: nothing would be pretrained"
  check_part_names
  control=
  if [[ -e ../common/conf/lfmmi/${network}_random.yaml || -e ../tedlium2/conf/lfmmi/${network}_random.yaml ]]; then
    control=${network}_random
  fi
  [[ -e ../common/conf/lfmmi/$network.yaml || -e ../tedlium2/conf/lfmmi/$network.yaml ]] ||
    recipe_error "--network $network: there is no ../common/conf/lfmmi/$network.yaml"
  corpora_and_networks
  for one in $systems; do
    [ "${needs[$one]}" = pretrained ] || recipe_error "--systems $one is carried from no pretrained network; name it in --level"
  done
  for one in $level; do
    [[ ${needs[$one]} != @(pretrained|shape) ]] || recipe_error "--level $one needs a pretrained network; name it in --systems"
    [[ ${needs[$one]} != package:* ]] || recipe_error "--level $one: it has one seed, and a curve --num-seeds; ./run.sh has it in its table"
  done
}

# part_name NAME SIZE: what the network pretrained on it is called after
part_name() {
  if [ "$2" = all ]; then echo "$1"; else echo "$1_$2"; fi
}

# check_part_names: no two networks have one name, as of a speech called a_10 and ten minutes of one called a
check_part_names() {
  local part called
  local -A of=()
  for part in "${parts[@]}"; do
    # shellcheck disable=SC2086  # two words
    called=$(part_name $part)
    [[ -z ${of[$called]-} || ${of[$called]} == "$part" ]] ||
      recipe_error "--speech: '${of[$called]}' and '$part' (name, minutes) would both be called $called; give one of the two speeches another name"
    of[$called]=$part
  done
}

# check_seeds: whole numbers from 1 on, each once; without any seed 1
check_seeds() {
  local one
  [ -n "$seeds" ] || seeds=1
  for one in $seeds; do
    [[ $one =~ ^[1-9][0-9]{0,8}$ ]] || recipe_error "--seeds $one: whole numbers from 1 on are needed, with spaces between, as in --seeds \"1 2 3\""
  done
  check_once --seeds "$seeds"
  [[ $seeds == *[0-9]* ]] || recipe_error "--seeds is empty: nothing would be pretrained"
}

# network_of NAME SIZE SEED: the experiment of that network
network_of() { experiment_on "$1" "$2" "$network" "$3"; }

# experiment_on NAME SIZE NETWORK SEED: as ../tedlium2/run.sh calls it
experiment_on() { echo "../tedlium2/exp/$(part_name "$1" "$2")_$3${graphs#graphs}$(seed_suffix "$4")"; }

pretraining_demo() {
  local dataset=tedlium2 data=data/speech
  $train_cmd "$data/log/make_demo_corpus.log" make_demo_corpus.py tedlium2 --config conf/demo.yaml:tedlium2 "$data/demo"
  $train_cmd "$data/log/prepare.log" prepare_corpus.py tedlium2 "$data/demo" "$data/demo_manifests"
}

# sample_speech: nested parts of each, and all of it, with one dev part
sample_speech() {
  local name manifests sizes part
  for name in $spoken; do
    sizes=()
    for part in "${parts[@]}"; do
      if [[ $part == "$name "* && $part != *" all" ]]; then sizes+=(--minutes "${part#* }"); fi
    done
    IFS=+ read -ra manifests <<< "${heard[$name]}"
    $train_cmd "data/speech/log/sample_$name.log" sample_cuts.py "${sizes[@]}" "${manifests[@]}" "data/speech/$name"
  done
}

# dictionary_of NAME: how the words of that speech sound, in all parts of it
dictionary_of() { echo "$PWD/data/speech/$1_dictionary.txt"; }

pronounce_speech() {
  local name
  for name in $spoken; do
    $train_cmd "data/speech/log/make_dictionary_$name.log" make_dictionary.py \
      "data/speech/$name/all/cuts_train.jsonl.gz" "data/speech/$name/all/cuts_dev.jsonl.gz" "$(dictionary_of "$name")"
  done
}

# pretrain_parts: for one seed after the other a network of random weights, then one on each part, as many at once as
# --train-nj says; those of one part share its features and graphs, so never two of them at once
pretrain_parts() {
  local part seed plan
  [ -n "$control" ] || echo "no control of random weights: there is no ../common/conf/lfmmi/${network}_random.yaml"
  for seed in $seeds; do
    plan=data/speech/log/pretrain_$$$(seed_suffix "$seed")
    if [ -n "$control" ]; then
      # shellcheck disable=SC2086  # two words
      plan_pretraining ${parts[0]} "$control" "$seed" > "$plan.random"
      run_here "$plan.random"
    fi
    # shellcheck disable=SC2086  # two words
    for part in "${parts[@]}"; do plan_pretraining $part "$network" "$seed"; done > "$plan"
    run_here "$plan"
  done
}

# run_here PLAN: its lines as jobs on this machine, for what they start takes the launcher of ../tedlium2/cmd.sh
run_here() {
  launch.py local --max-jobs-run "$train_nj" JOB=1:"$(wc -l < "$1")" "$1.JOB.log" bash -euc "eval \"\$(sed -n JOBp $1)\""
}

# plan_pretraining NAME SIZE NETWORK SEED: the command
plan_pretraining() {
  printf '%q ' ../tedlium2/run.sh --stage 2 --stop-stage 7 --manifests "$PWD/data/speech/$1/$2" \
    --name "$(part_name "$1" "$2")" --dictionary "$(dictionary_of "$1")" --ivectors false --system "$3" --graphs "$graphs" --seed "$4" \
    --nj "$nj" --gpu "$gpu"
  echo
}

# controls: the experiments of random weights, one a seed
controls() {
  local seed first
  if [ -n "$control" ]; then
    read -ra first <<< "${parts[0]}"
    for seed in $seeds; do experiment_on "${first[@]}" "$control" "$seed"; done
  fi
}

# pretrainings_of NAME SIZE: the experiments of the networks on that part, one a seed
pretrainings_of() {
  local seed
  for seed in $seeds; do network_of "$1" "$2" "$seed"; done
}

# all_networks: the experiments of all of them, the controls first
all_networks() {
  local part
  controls
  # shellcheck disable=SC2086  # two words
  for part in "${parts[@]}"; do pretrainings_of $part; done
}

# list_networks: a file of those of this run, without the controls, as ./run.sh --pretrained takes them once they are
# trained: for `make benchmark`, which carries them, too
list_networks() {
  local part listed=exp/pretrained_networks
  mkdir -p exp
  # shellcheck disable=SC2086  # two words
  for part in "${parts[@]}"; do pretrainings_of $part; done > "$listed"
  echo "$listed lists the networks: ./run.sh --pretrained \"\$(cat $listed)\" carries systems from them when they are trained"
}

# benchmark_with_all FIRST LAST: those stages of the benchmark, with every network
benchmark_with_all() {
  local networks
  networks=$(all_networks | tr '\n' ' ')
  ./run.sh --stage "$1" --stop-stage "$2" --corpora="$corpora" --skip-bad "$skip_bad" --tasks="$tasks" \
    --systems "$systems $level" --pretrained "${networks% }" --num-seeds "$num_seeds" --nj "$nj" --shards "$shards" \
    --train-nj "$train_nj" --gpu "$gpu"
}

# carried_from TASK SYSTEM NETWORKS: set joined to its experiments from each of them, with + between: a point of a curve
carried_from() {
  local one exp
  joined=
  for one in $3; do
    system_experiment "$1" "$2" "$one"
    joined+=${joined:++}$exp
  done
}

# pretraining_curves: for each task the systems over the minutes of each speech, the mean over seeds of the pretraining,
# beside those that need none
pretraining_curves() {
  local task name part sizes curve across one exp joined
  for task in $task_list; do
    curve=() across=()
    for one in $systems; do
      for name in $spoken; do
        sizes=
        for part in "${parts[@]}"; do
          [ "${part% *}" = "$name" ] || continue
          # shellcheck disable=SC2086  # two words
          carried_from "$task" "$one" "$(pretrainings_of $part)"
          sizes+=,$joined
        done
        [ -z "$sizes" ] || curve+=("${one##*/}_$name=${sizes#,}")
      done
      if [ -n "$control" ]; then
        carried_from "$task" "$one" "$(controls)"
        across+=(--level "${one##*/}_random_weights=$joined")
      fi
    done
    for one in $level; do
      system_experiment "$task" "$one" -
      across+=(--level "${one##*/}=$exp")
    done
    $train_cmd "exp/log/curve_$task.log" plot_curve.py --over speech --num-seeds "$num_seeds" --title "$task" \
      "${across[@]}" --output "exp/curve/$task" "${curve[@]}"
    echo "exp/curve/$task/curve.png, curve.txt"
  done
}

# corpora_and_networks: what the benchmark makes of the same options (benchmark_plan)
corpora_and_networks() {
  local systems="$systems $level" pretrained backbone='' corpora=$corpora
  pretrained=$(all_networks | tr '\n' ' ')
  benchmark_plan
}
