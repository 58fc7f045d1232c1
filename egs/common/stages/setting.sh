# Where a script's configurations and results are: what the other files here, and the scripts, begin with.
# shellcheck shell=bash disable=SC2034,SC2154

# real_or_demo: set demo, data and results by --corpus; what is made from synthetic speech never lies where
# real results are
real_or_demo() {
  demo=false data=data/real results=exp/
  if [ -z "$corpus" ]; then demo=true data=data/demo results=exp/demo_; fi
}

# config KIND/NAME: set config to the options of a program that reads ../common/conf/KIND/NAME.yaml, with
# conf/KIND/NAME.yaml over it, and on the demo corpus the group NAME of conf/demo.yaml; so also each file
# that it is based on.  Either of the two files is enough.
config() {
  config=(--config "../common/conf/$1.yaml" --overlay "conf/${1%/*}")
  if ${demo:-false}; then config+=(--overlay conf/demo.yaml); fi
}

# check_name OPTION NAME: NAME is that of a file, not a path
check_name() {
  [[ $2 != */* ]] || recipe_error "$1 $2: the name of a file in conf/ is needed"
}

# check_once OPTION WORDS: none of them is there twice
check_once() {
  local one before=' '
  for one in $2; do
    [[ $before != *" $one "* ]] || recipe_error "$1: $one is there twice"
    before+="$one "
  done
}

# check_named OPTION WORDS: each is NAME=PATH, with names of their own
check_named() {
  local one names=''
  for one in $2; do
    [[ $one == ?*=?* ]] || recipe_error "$1 '$one': NAME=PATH is needed; for a path with a space make a link without one"
    [[ ${one%%=*} != */* ]] || recipe_error "$1 $one: a name is needed before the =, not a path"
    names+=" ${one%%=*}"
  done
  check_once "$1" "$names"
}

# experiment_name EXPERIMENT: its folder's name, and before it the recipe's if that is another than ../$home:
# what is made from ../librispeech/exp/a2w is not to lie where that from ../tedlium2/exp/a2w does
experiment_name() {
  local path=${1%/} name recipe=
  name=${path##*/}
  if [[ $path == */exp/"$name" ]]; then
    recipe=${path%/exp/*}
    recipe=${recipe##*/}
  fi
  case $recipe in
    '' | . | .. | "${home-}") echo "$name" ;;
    *) echo "${recipe}_$name" ;;
  esac
}

# seed_suffix SEED: what the name of a network that is trained from another seed than 1 ends with
seed_suffix() {
  if [ "$1" != 1 ]; then echo "_seed$1"; fi
}

# command_line: this script with its options, for the pages of results
command_line() {
  echo "egs/${PWD##*/}/$recipe_name $recipe_arguments"
}

# share_training: set tasks to the options of launch.py for one training on --nodes with --tasks-per-node processes
share_training() {
  tasks=()
  if [ "$nodes" -gt 1 ] || [ "$tasks_per_node" -gt 1 ]; then tasks=(--tasks-per-node "$tasks_per_node"); fi
  if [ "$nodes" -gt 1 ]; then tasks+=(--nodes "$nodes"); fi
}
