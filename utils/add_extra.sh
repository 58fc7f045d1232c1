#!/usr/bin/env bash
# Add an optional part to an environment, without changing anything that is in it; then check that.
#
#   utils/add_extra.sh ssl          to .venv: transformers, for self-supervised models
#   utils/add_extra.sh opensmile    functionals (eGeMAPS, ComParE); audEERING's licence: research, not commercial
#   utils/add_extra.sh ssl modern   to .venv-modern; a third argument names another folder that has it
#
# Installs requirements/EXTRA-KIND.txt, the packages that the environment lacks, by version and hash.
# A plain `pip install` of such a package may lift numpy or torch, after which nothing runs.
set -euo pipefail
if [ "${1-}" = --help ]; then
  # the comment above
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
  exit
fi
unset CDPATH PYTHONPATH PYTHONHOME
root=$(cd "$(dirname "$0")/.." && pwd)
extra=${1:?usage: $0 EXTRA [full|modern] [ENVIRONMENT]}
kind=${2:-full}
case $kind in
  full) env=$root/.venv ;;
  modern) env=$root/.venv-modern ;;
  *) echo "$0: there are two environments, full and modern, not '$kind'" >&2; exit 1 ;;
esac
cd "$root/requirements"
lock=$extra-$kind.txt
if [ ! -f "$lock" ]; then
  known=$(for file in *-"$kind".txt; do echo "${file%-"$kind".txt}"; done | paste -sd ' ')
  echo "$0: no extra '$extra'; there is $known" >&2
  exit 1
fi
env=${3:-$env}
[ -x "$env/bin/python" ] || { echo "$0: there is no environment $env; make env makes it (make env-modern)" >&2; exit 1; }
stamp=$(cat "$lock" | sha256sum)
if [ "$(cat "$env/sertools-extra-$extra" 2> /dev/null)" = "$stamp" ]; then exit 0; fi

exec 9> "$env.lock"
flock -n 9 || { echo "$0: another program is at work on $env; waiting"; flock 9; }
echo "-- adding $extra to $(basename "$env")"
pip() { "$env/bin/python" -m pip --disable-pip-version-check "$@"; }
packages() { pip freeze --exclude-editable | sort; }
problems() { pip check | sort || true; }
before=$(packages) wrong_before=$(problems)
pip install -q --no-deps --require-hashes -r "$lock"
# a package may be replaced by what the extra's own lock says, and nothing else may change
changed=$(comm -23 <(echo "$before") <(packages) | grep -viF "$(sed -n 's/==.*/==/p' "$lock")" || true)
wrong=$(comm -13 <(echo "$wrong_before") <(problems) | grep -v 'No broken requirements' || true)
if [ -n "$changed$wrong" ]; then
  echo "$0: after adding $extra, the environment is not as it was: ${changed:+$changed are changed; }$wrong" >&2
  echo "make it anew: rm -r $env; then make env (or make env-modern)" >&2
  exit 1
fi
# numpy to torch and back, which fails where something wants another numpy
"$env/bin/python" - "$lock" <<'PY' || { echo "$0: with $extra, $env does not work; make it anew: rm -r $env" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy
import torch

assert torch.from_numpy(numpy.ones(3, numpy.float32)).sum().numpy() == 3
for line in open(sys.argv[1]):
    name, _, rest = line.partition("==")
    assert line.startswith("#") or version(name) == rest.split(" ")[0], line
PY
echo "$stamp" > "$env/sertools-extra-$extra"
