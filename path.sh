# The environment of every recipe: source it from bash (egs/*/path.sh does, and so run.sh).
# shellcheck shell=bash

if [ -z "${BASH_VERSION-}" ]; then
  echo "path.sh: this shell is not bash: start bash, and source path.sh there" >&2
  return 1
fi
# CDPATH would lead elsewhere, and print where; cd may be a function or alias of the user's
sertools_root=$(CDPATH='' builtin cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
sertools_env=${SERTOOLS_ENV:-$sertools_root/.venv}
# a GPU that the first environment's torch has no code for; recipes of `sertools new` have one environment, pip's
if [ -z "${SERTOOLS_ENV:-}" ] && [ -d "$sertools_root/requirements" ] && [ "$("$sertools_root/utils/which_env.sh")" = modern ]; then
  sertools_env=$sertools_root/.venv-modern
fi
sertools_path=$sertools_root/utils:$sertools_root/local

if [ -x "$sertools_env/bin/python3" ]; then
  export SERTOOLS_ROOT=$sertools_root
  sertools_path=$(CDPATH='' builtin cd -- "$sertools_env/bin" && pwd):$sertools_path
else
  echo "path.sh: there is no environment in $sertools_env: run \`make env\` in $sertools_root," \
    "or let SERTOOLS_ENV name the folder of one" >&2
  # recipe.sh stops where this is missing
  unset SERTOOLS_ROOT
fi

# sourced twice, PATH stays as it is
case $PATH: in
  "$sertools_path":*) ;;
  *) export PATH=$sertools_path:$PATH ;;
esac
# packages for the Python of a site's modules would be taken in place of the environment's own
if [ -n "${PYTHONPATH-}${PYTHONHOME-}" ]; then
  echo "path.sh: PYTHONPATH and PYTHONHOME are unset: ${PYTHONPATH-}${PYTHONHOME:+ $PYTHONHOME}" >&2
  unset PYTHONPATH PYTHONHOME
fi
# the same sort order on every machine, whatever its language, and UTF-8 in every program
export LC_ALL=C.UTF-8
# torch 1.13's MKL runs a third as fast on AMD processors unless told that they know AVX2;
# newer ones ignore this
if grep -qs AuthenticAMD /proc/cpuinfo; then
  export MKL_DEBUG_CPU_TYPE=5
fi
# log lines appear as they are written
export PYTHONUNBUFFERED=1

unset sertools_root sertools_env sertools_path
# the status of `. path.sh`: whether there is an environment
[ -n "${SERTOOLS_ROOT:-}" ]
