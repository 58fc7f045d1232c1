# The first line of every script in egs/*/ sources this file:
#
#   . "$(dirname "$(readlink -f "$0")")/../common/begin.sh" || { echo "$0 is not in a folder of egs/; on Slurm: ./run.sh --submit" >&2; exit 1; }
#
# It goes to the recipe's folder (a link to it, or to the script, may have been followed), and reads path.sh,
# cmd.sh, utils/recipe.sh (options and stages) and the bodies of the stages, stages/*.sh.
# shellcheck shell=bash

# `sh run.sh`: up to here any shell understands
if [ -z "${BASH_VERSION-}" ]; then exec bash "$0" "$@"; fi
# what of the user's own shell reaches scripts by SHELLOPTS, BASHOPTS, BASH_ENV and export -f
\builtin unalias -a
# shellcheck disable=SC2046  # a word each
\builtin unset -f $(\builtin compgen -b) basename cat cp dirname grep ls mkdir mv python python3 readlink rm sed sort tail
set +o posix +o noglob +o noclobber +o keyword
shopt -u failglob nullglob nocaseglob nocasematch dotglob xpg_echo
export -n SHELLOPTS BASHOPTS
unset CDPATH
if [ "${BASH_SOURCE[1]-}" != "$0" ]; then
  echo "error: a recipe is started, as ./run.sh; it is not sourced, nor read from standard input" >&2
  # an interactive shell that sources it goes on
  case $- in *i*) kill -INT $$ ;; esac
  exit 2
fi
# recipe.sh looks there, too, for what options name
recipe_called_from=$PWD
recipe_script=$(readlink -f -- "$0")
cd -P -- "$(dirname -- "$recipe_script")" || exit
# shellcheck source=../../path.sh
# shellcheck disable=SC2218  # exit is a function only from recipe.sh on
. ./path.sh || exit
# shellcheck source=../iemocap/cmd.sh
. ./cmd.sh
. recipe.sh
# shellcheck disable=SC1090  # those beside this file
for recipe_stages in ../common/stages/*.sh; do . "$recipe_stages"; done
