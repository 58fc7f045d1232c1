# Options, stages, error reports and events of a recipe; a run.sh sources it after path.sh and cmd.sh:
#
#   #!/usr/bin/env bash
#   # What this experiment is; --help prints these lines.
#   # shellcheck disable=SC2154  # the variables that option sets
#   cd "$(dirname "$(readlink -f "$0")")" || exit
#   . ./path.sh
#   . ./cmd.sh
#   . recipe.sh
#
#   option corpus ""   "folder of the corpus"             # any text
#   option nj 2        "jobs of a parallel stage"         # an integer: integers only, from 1 on (from 0 if it is 0)
#   option check true  "whether to check every file"      # true or false only
#   parse_options "$@"                                    # --corpus DIR --nj=4 --stage 1 --stop-stage 2 --help
#                                                         # --submit: see recipe_submit.sh
#
#   if stage 0 "Prepare the corpus"; then                 # a line of exactly this form
#     $train_cmd exp/log/prepare.log local/prepare.py "$corpus"
#   fi
#   finish
#
# A command that fails ends the recipe, which says in which stage and how to go on.  (Jobs put into
# the background with & are not commands that fail: wait for each by its process id.)
#
# exp/stages.jsonl says what ran when and how it ended, for `sertools status`: recipe_events.sh.  A second
# run with the same options (--stage and --stop-stage apart), while the first runs, is refused.
# shellcheck shell=bash
set -euo pipefail

# recipe_script: where a link has led to, if the script knows
recipe_name=${recipe_script:-$0}
recipe_name=${recipe_name##*/}
recipe_file=./$recipe_name
recipe_option_names=()
recipe_option_defaults=()
recipe_option_helps=()
recipe_option_values=()
recipe_stage_numbers=()
recipe_stage_titles=()
# shellcheck disable=SC2034  # for the recipe
recipe_arguments=   # the command line, as it can be typed again
recipe_given=()     # the command line but for --stage, to be given again
recipe_current=     # the stage that runs: "3 (MFCC features)"
recipe_number=      # its number
recipe_line=        # where the last command failed: "17", or "17 of FILE"
recipe_state=starting
recipe_signal=
recipe_left=false  # whether a script has called exit
recipe_submitting=false
recipe_began=
# in a job of --submit: the command line that hands over this stage and those after it once more
recipe_go_on=${RECIPE_GO_ON-}
unset RECIPE_GO_ON

# shellcheck source=recipe_events.sh
. "${BASH_SOURCE[0]%/*}/recipe_events.sh"
# shellcheck source=recipe_submit.sh
. "${BASH_SOURCE[0]%/*}/recipe_submit.sh"

# recipe_error MESSAGE: the recipe, or its command line, is wrong
recipe_error() {
  recipe_state=refused
  echo "$recipe_name: error: $1" >&2
  exit 2
}

# recipe_quoted WORD...: them in a line that a shell takes apart again, with quotes only where it needs them
recipe_quoted() {
  local word words=()
  for word in "$@"; do
    if [[ ! $word =~ ^[A-Za-z0-9_./:=+,@%-]+$ ]]; then word=${word@Q}; fi
    words+=("$word")
  done
  echo "${words[*]}"
}

# option NAME DEFAULT HELP: set the variable NAME to DEFAULT; --NAME changes it, with - for _
option() {
  [ $# = 3 ] || recipe_error "option needs a name, a default and a help text, not: $*"
  [[ $1 =~ ^[a-z][a-z0-9_]*$ && $1 != recipe_* ]] || recipe_error "option $1: a name is lower-case letters, digits, _"
  case " ${recipe_option_names[*]-} stage stop_stage submit help " in
    *" $1 "*) recipe_error "option $1 is declared twice, or built in" ;;
  esac
  recipe_option_names+=("$1")
  recipe_option_defaults+=("$2")
  recipe_option_helps+=("$3")
  recipe_option_values+=("$2")
  declare -g "$1=$2"
}

# option_help NAME: what --help says of an option
option_help() {
  local n
  for n in "${!recipe_option_names[@]}"; do
    if [ "${recipe_option_names[n]}" = "$1" ]; then echo "${recipe_option_helps[n]}"; fi
  done
}

# parse_options "$@": set the variables from the command line
parse_options() {
  recipe_find_stages
  stage=${recipe_stage_numbers[0]}
  stop_stage=${recipe_stage_numbers[-1]}
  local argument name value
  for argument in "$@"; do
    if [ "$argument" = --help ] || [ "$argument" = -h ]; then
      recipe_state=finished
      recipe_help
      exit 0
    fi
  done
  # shellcheck disable=SC2034
  recipe_arguments=$(recipe_quoted "$@")
  local command
  printf -v command '%q ' "$0" "$@"
  printf '%s\n' "$command"
  while [ $# -gt 0 ]; do
    argument=$1
    shift
    [[ $argument == --?* ]] || recipe_error "'$argument' is not an option; see $recipe_name --help"
    [[ $argument != --submit=* ]] || recipe_error "--submit takes no value"
    if [ "$argument" = --submit ]; then
      recipe_submitting=true
      continue
    fi
    name=${argument%%=*}
    if [[ $argument == *=* ]]; then
      value=${argument#*=}
    else
      recipe_check_name "$name"
      # --name=--value is there for a value that does begin so
      if [ $# = 0 ] || [[ $1 == --?* ]]; then recipe_error "$name needs a value; see $recipe_name --help"; fi
      value=$1
      shift
    fi
    recipe_find_file "$name"
    recipe_set "$name" "$value"
    [ "$name" = --stage ] || recipe_given+=("$name=$value")
  done
  recipe_check_stages
  if $recipe_submitting; then
    recipe_submit
    exit 0
  fi
  recipe_begin "${command% }"
  # launch.py writes it into the logs of the jobs, for `sertools status`
  export RECIPE_RUN=$recipe_run
  recipe_state=running
  recipe_clock
  recipe_began=$recipe_seconds
}

# recipe_find_file NAME: a recipe that is started from another folder takes the files or folders that $value names there,
# where the recipe's own folder has none of that name; of lists each: NAME=PATH ..., PATH PATH, PATH+PATH, PATH,PATH
recipe_find_file() {
  local found word words part rest list='' before=$value
  case $1 in
    --table | --audio | --corpus | --ravdess | --nemo | --manifests | --dictionary | --lm-text | --arpa) ;;
    --extractor | --recogniser | --text-backbone | --audioset | --init | --a2w-init | --other) ;;
    --pretrained | --backbone | --corpora | --speech | --others | --join) list=true ;;
    *) return 0 ;;
  esac
  recipe_find_path "$1" "$value"
  if [[ -z $list || $found != "$value" ]]; then
    value=$found
  else
    read -ra words <<< "${value//$'\n'/ }"
    value=
    for word in ${words[@]+"${words[@]}"}; do
      value+=${value:+ }
      if [[ $word == *=* ]]; then value+=${word%%=*}=; fi
      rest=${word#*=}
      while
        part=${rest%%[+,]*}
        recipe_find_path "$1" "$part"
        value+=$found
        [ "$part" != "$rest" ]
      do
        value+=${rest:${#part}:1}
        rest=${rest:${#part}+1}
      done
    done
    # as it was given, spaces and all
    if [ "$value" = "${words[*]-}" ]; then value=$before; fi
  fi
  if [ "$value" != "$before" ]; then echo "$recipe_name: $1 is $value"; fi
}

# recipe_find_path OPTION PATH: set found to PATH, or to what is called so where the recipe is started
recipe_find_path() {
  local there=${recipe_called_from:-$PWD}/$2
  found=$2
  if [[ -z $2 || $2 = /* || ! -e $there || $2 -ef $there ]]; then return 0; fi
  [ ! -e "$2" ] || recipe_error "$1 $2: there is one in $recipe_called_from and one in $PWD; give the whole path"
  [[ -z ${list-} || $there != *[[:space:]]* ]] ||
    recipe_error "$1 takes paths with spaces between, and $there has one within; start the recipe from a folder without, or give a link"
  found=$there
}

# stage NUMBER TITLE: whether the stage is to run
stage() {
  local i known=false
  for i in "${!recipe_stage_numbers[@]}"; do
    if [ "${recipe_stage_numbers[i]}" = "$1" ]; then known=true; fi
  done
  [ "$recipe_state" = running ] || recipe_error "stage $1 comes before parse_options"
  [ $known = true ] || recipe_error "--help cannot list stage $1: write it as: if stage $1 \"title\"; then"
  recipe_end_stage 0
  if (($1 < stage || $1 > stop_stage)); then return 1; fi
  recipe_number=$1
  recipe_current="$1 ($2)"
  recipe_quote "$2"
  recipe_event stage "\"stage\":$1,\"title\":$recipe_json"
  printf '== stage %s: %s ==  %(%Y-%m-%d %H:%M:%S)T\n' "$1" "$2" -1
}

# finish: the last line of a run.sh
finish() {
  recipe_end_stage 0
  recipe_event end '"code":0'
  recipe_state=finished
  recipe_clock
  local took=$((recipe_seconds - recipe_began))
  printf '== %s: stages %s to %s are done, %d:%02d:%02d ==\n' "$recipe_name" "$stage" "$stop_stage" \
    $((took / 3600)) $((took / 60 % 60)) $((took % 60))
}

recipe_find_stages() {
  [ -r "$recipe_file" ] || recipe_error "write this line above path.sh: cd \"\$(dirname \"\$(readlink -f \"\$0\")\")\" || exit"
  local line pattern='^[[:space:]]*if (.* )?stage (-?[0-9]+) ["'\''](.*)["'\''] *; *then'
  while IFS= read -r line; do
    if [[ $line =~ $pattern ]]; then
      recipe_stage_numbers+=("${BASH_REMATCH[2]}")
      recipe_stage_titles+=("${BASH_REMATCH[3]}")
    fi
  done < <(recipe_lines)
  local i
  [ ${#recipe_stage_numbers[@]} -gt 0 ] || recipe_error "no line of the form: if stage 0 \"title\"; then"
  for ((i = 1; i < ${#recipe_stage_numbers[@]}; i++)); do
    if ((recipe_stage_numbers[i] <= recipe_stage_numbers[i - 1])); then
      recipe_error "stage ${recipe_stage_numbers[i]} comes after stage ${recipe_stage_numbers[i - 1]}"
    fi
  done
}

# recipe_lines: of the script, and in their place of the list of stages that it shares with others:
#   . ../common/recipes/s2.sh
recipe_lines() {
  local line
  while IFS= read -r line; do
    if [[ $line =~ ^\.\ (\.\./common/recipes/[a-z0-9_]+\.sh)$ ]]; then cat "${BASH_REMATCH[1]}"; else printf '%s\n' "$line"; fi
  done < "$recipe_file"
}

recipe_help() {
  local i
  # $(...) takes the empty lines from its end
  printf '%s\n' "$(sed -n '2,${/^#/!q; /^# *shellcheck /d; s/^# \{0,1\}//p}' "$recipe_file")"
  printf '\nStages:\n'
  for i in "${!recipe_stage_numbers[@]}"; do
    printf '  %2s  %s\n' "${recipe_stage_numbers[i]}" "${recipe_stage_titles[i]}"
  done
  printf '\nOptions (--name value, or --name=value):\n'
  for i in "${!recipe_option_names[@]}"; do
    recipe_help_line "${recipe_option_names[i]//_/-}" "${recipe_option_helps[i]} (${recipe_option_defaults[i]:-empty})"
  done
  recipe_help_line stage "the first stage to run (${recipe_stage_numbers[0]})"
  recipe_help_line stop-stage "the last stage to run (${recipe_stage_numbers[-1]})"
  recipe_help_line submit "hand the stages over to Slurm, each as a job, and end; \$submit_cmd in cmd.sh"
  recipe_help_line help "print this"
}

recipe_help_line() {
  printf '  --%-18s %s\n' "$1" "$2"
}

# recipe_check_name --NAME: NAME is an option, else say which one is near
recipe_check_name() {
  local name=${1#--} known near
  known=" ${recipe_option_names[*]-} stage stop_stage submit "
  if [[ $name =~ ^[a-z][a-z0-9_-]*$ && $known == *" ${name//-/_} "* ]]; then return; fi
  near=$(python3 -c 'import difflib, sys; print(*difflib.get_close_matches(sys.argv[1], sys.argv[2].split(), 1, 0.5))' \
    "$name" "${known//_/-}") || near=
  recipe_error "unknown option $1${near:+; did you mean --$near?}  See $recipe_name --help"
}

# recipe_set --NAME VALUE: check the value against the type of the default, and set the variable
recipe_set() {
  recipe_check_name "$1"
  local i name=${1#--} default=-1 least=0 integer='^-?(0|[1-9][0-9]{0,17})$'
  name=${name//-/_}
  for i in "${!recipe_option_names[@]}"; do
    if [ "${recipe_option_names[i]}" = "$name" ]; then
      default=${recipe_option_defaults[i]}
      recipe_option_values[i]=$2
    fi
  done
  if [[ $default =~ $integer ]]; then
    [[ $2 =~ $integer ]] || recipe_error "$1 needs an integer, not '$2'"
    # seeds, like --gpu, count from 0
    if ((default > 0)) && [[ $name != *seed ]]; then least=1; fi
    ((default < 0 || $2 >= least)) || recipe_error "$1 must be at least $least, not $2"
  elif [[ $default =~ ^(true|false)$ ]]; then
    [[ $2 =~ ^(true|false)$ ]] || recipe_error "$1 needs true or false, not '$2'"
  fi
  case $2 in
    # launch.py would take them for the shell's
    '|' | '>' | '>>' | '<' | '&&' | '||' | ';' | '2>' | '2>>' | '2>&1') recipe_error "$1 '$2': write ./ before such a name" ;;
    *JOB*) recipe_error "$1 $2: launch.py puts a number in place of JOB; make a link with another name, and give that" ;;
  esac
  # -g, for the option may be called like a local variable of a function here
  declare -g "$name=$2"
}

recipe_check_stages() {
  local number first=${recipe_stage_numbers[0]} last=${recipe_stage_numbers[-1]}
  ((stage <= last)) || recipe_error "--stage $stage: the last stage is $last"
  ((stop_stage >= first)) || recipe_error "--stop-stage $stop_stage: the first stage is $first"
  ((stage >= first)) || recipe_error "--stage $stage: the first stage is $first"
  ((stop_stage <= last)) || recipe_error "--stop-stage $stop_stage: the last stage is $last"
  ((stage <= stop_stage)) || recipe_error "--stage $stage is after --stop-stage $stop_stage"
  for number in "${recipe_stage_numbers[@]}"; do
    if ((number >= stage && number <= stop_stage)); then return; fi
  done
  recipe_error "there is no stage from $stage to $stop_stage; see $recipe_name --help"
}

# recipe_failed LINE FILE: remember where, the innermost function first
recipe_failed() {
  if [ -n "$recipe_line" ]; then return; fi
  recipe_line=$1
  if [ "$2" != "$0" ] && [ "$2" != "$recipe_file" ]; then recipe_line+=" of $2"; fi
}

# exit [CODE]: as ever, remembered as the script's own wish
exit() {
  local code=$?
  recipe_left=true
  builtin exit "${1-$code}"
}

# recipe_on_exit CODE: say where the recipe stopped and how to go on
recipe_on_exit() {
  local current=$recipe_current code=$1
  # after TERM or HUP bash comes here with code 0, as if all were well
  if [ "$code" = 0 ] && [ -z "$recipe_signal" ] && ! $recipe_left; then code=null recipe_signal=TERM; fi
  if [ "$recipe_state" != finished ] && ! $recipe_submitting; then
    recipe_end_stage "$code"
    recipe_event end "\"code\":$code"
    recipe_current=$current
  fi
  # exit 0 in the middle of a run.sh is the user's wish
  if [ "$recipe_state" != running ] || { [ "$1" = 0 ] && [ -z "$recipe_signal" ]; }; then return; fi
  local go_on=$0 what
  [[ $go_on == */* ]] || go_on="bash $go_on"
  if [ -n "$recipe_number" ]; then go_on+=" --stage $recipe_number"; fi
  if [ ${#recipe_given[@]} -gt 0 ]; then go_on+=$(printf ' %q' "${recipe_given[@]}"); fi
  go_on=${recipe_go_on:-$go_on}
  what="${recipe_current:+stage $recipe_current}"
  what="${what:-the part outside the stages}"
  if [ -n "$recipe_signal" ]; then
    echo "$recipe_name: interrupted in $what; go on with $go_on" >&2
  else
    echo "$recipe_name: $what failed${recipe_line:+ at line $recipe_line} (code $1);" \
      "when it is mended, go on with $go_on" >&2
  fi
}

# path.sh has said what is missing
[ -n "${SERTOOLS_ROOT:-}" ] || exit 1
# -E: also inside functions
set -E
trap 'recipe_failed "$LINENO" "${BASH_SOURCE[0]}"' ERR
trap 'recipe_on_exit $?' EXIT
# TERM and HUP have no trap, for bash would wait for the command in the foreground: without one it
# ends at once, and launch.py with it
trap 'recipe_signal=INT; exit 130' INT
