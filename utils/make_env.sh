#!/usr/bin/env bash
# Make an environment, or bring it up to date; does nothing where it is already so.
#
#   utils/make_env.sh full      .venv         torch 1.13.1 with k2, kaldifeat (the default stack)
#   utils/make_env.sh modern    .venv-modern  torch 2.13.0, kaldifeat, no k2
#
# Needs Python 3.11 with pip, a C++ compiler and a package index that pip reaches; nothing else.
# PYTHON names another interpreter than python3.11.
set -euo pipefail
unset CDPATH PYTHONPATH PYTHONHOME
root=$(cd "$(dirname "$0")/.." && pwd)
kind=${1:?usage: $0 full|modern}
case $kind in
  full) env=$root/.venv ;;
  modern) env=$root/.venv-modern ;;
  *) echo "$0: there are two environments, full and modern, not '$kind'" >&2; exit 1 ;;
esac
cd "$root/requirements"
stamp=$(cat pip.txt build.txt k2.txt "$kind.txt" modern-torch.txt "$root/setup.py" "$root/utils/build_kaldifeat.sh" \
  "$root/utils/kaldifeat"/*/* "$root/utils/make_env.sh" | sha256sum)
if [ "$(cat "$env/sertools-stamp" 2> /dev/null)" = "$stamp $root" ]; then exit 0; fi

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
"$python" -c 'import sys; assert sys.version_info[:2] == (3, 11)' 2> /dev/null ||
  { echo "$0: Python 3.11 is needed (the newest that k2's wheels have); set PYTHON=/path/to/python3.11" >&2; exit 1; }
"$python" -m pip --version > /dev/null 2>&1 ||
  { echo "$0: $python has no pip; on Debian or Ubuntu: apt-get install python3-pip" >&2; exit 1; }

exec 9> "$env.lock"
flock -n 9 || { echo "$0: another make_env.sh is at work on $env; waiting"; flock 9; }
[ "$(cat "$env/sertools-stamp" 2> /dev/null)" = "$stamp $root" ] && exit 0
echo "== making the $kind environment in ${env#"$root"/} (5 minutes or so, 4 GB) =="
rm -rf "$env"
# Debian's Python has venv but not ensurepip: put pip in from outside.
"$python" -m venv --without-pip "$env"
"$python" -m pip --python "$env/bin/python" install -q -r pip.txt
pip() { "$env/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
echo "-- packages"
pip --no-deps --require-hashes -r "$kind.txt"
# whatever the chosen build of torch needs besides (CUDA's libraries)
if [ "$kind" = modern ]; then pip -r modern-torch.txt; fi
if [ "$kind" = full ]; then
  echo "-- k2"
  pip --no-deps --require-hashes -r k2.txt
fi
echo "-- kaldifeat"
"$root/utils/build_kaldifeat.sh" "$env/bin/python"
pip --no-deps --no-build-isolation --no-index -e "$root"
echo "$stamp $root" > "$env/sertools-stamp"
echo "== the $kind environment is ready =="
