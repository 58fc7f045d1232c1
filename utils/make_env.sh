#!/usr/bin/env bash
# Make an environment, or bring it up to date; does nothing where it is already so.  What is installed is
# compared with the locks: what another program's pip has changed is put right, and nothing else made anew.
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
# what a package cannot be exchanged for alone: how kaldifeat is built, and for what torch
built_from=$(cat build.txt "$root/utils/build_kaldifeat.sh" "$root/utils/kaldifeat"/*/* <(grep '^torch==' "$kind.txt" modern-torch.txt) | sha256sum)
setup=$(sha256sum < "$root/setup.py")

# the lines of the locks that are not what is installed, and on stderr why
differs() { "$env/bin/python" -I "$root/utils/check_env.py" "$kind"; }
stamp_is() { [ "$(cat "$env/sertools-$1" 2> /dev/null)" = "$2" ]; }
current() {
  [ -e "$env/sertools-made" ] && stamp_is kaldifeat "$built_from" && stamp_is setup "$setup $root" || return 1
  [ -z "$(differs 2> /dev/null || echo broken)" ]
}
current && exit 0

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
"$python" -c 'import sys; assert sys.version_info[:2] == (3, 11)' 2> /dev/null ||
  { echo "$0: Python 3.11 is needed (the newest that k2's wheels have); set PYTHON=/path/to/python3.11" >&2; exit 1; }
"$python" -m pip --version > /dev/null 2>&1 ||
  { echo "$0: $python has no pip; on Debian or Ubuntu: apt-get install python3-pip" >&2; exit 1; }

exec 9> "$env.lock"
flock -n 9 || { echo "$0: another make_env.sh is at work on $env; waiting"; flock 9; }
current && exit 0
# of an earlier version of this script, which had one stamp of everything
if [ ! -e "$env/sertools-made" ] && [ -e "$env/sertools-stamp" ] && differs > /dev/null 2>&1; then
  "$env/bin/python" -I -c 'import torch, kaldifeat' 2> /dev/null && echo "$built_from" > "$env/sertools-kaldifeat"
  mv "$env/sertools-stamp" "$env/sertools-made"
fi
pip() { "$env/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
if [ -e "$env/sertools-made" ] && lines=$(differs); then
  if [ -n "$lines" ]; then
    echo "== ${env#"$root"/} is not what was locked (above); putting that right =="
    lacking=$(mktemp)
    trap 'rm -f "$lacking"' EXIT
    # what a modern torch brings along is of its own choice, and has no hash
    grep -e --hash <<< "$lines" > "$lacking" || true
    if [ -s "$lacking" ]; then pip --no-deps --require-hashes -r "$lacking"; fi
    if grep -qv -e --hash <<< "$lines"; then pip -r modern-torch.txt; fi
    # torch, say, was exchanged and brought back: kaldifeat may have gone with it
    "$env/bin/python" -I -c 'import torch, kaldifeat' 2> /dev/null || rm -f "$env/sertools-kaldifeat"
  fi
else
  echo "== making the $kind environment in ${env#"$root"/} (5 minutes or so, 4 GB) =="
  rm -rf "$env"
  # Debian's Python has venv but not ensurepip: put pip in from outside.
  "$python" -m venv --without-pip "$env"
  "$python" -m pip --python "$env/bin/python" install -q -r pip.txt
  echo "-- packages"
  pip --no-deps --require-hashes -r "$kind.txt"
  # whatever the chosen build of torch needs besides (CUDA's libraries)
  if [ "$kind" = modern ]; then pip -r modern-torch.txt; fi
  if [ "$kind" = full ]; then
    echo "-- k2"
    pip --no-deps --require-hashes -r k2.txt
  fi
fi
if ! stamp_is kaldifeat "$built_from"; then
  echo "-- kaldifeat"
  "$root/utils/build_kaldifeat.sh" "$env/bin/python"
  echo "$built_from" > "$env/sertools-kaldifeat"
fi
if ! stamp_is setup "$setup $root"; then
  pip --no-deps --no-build-isolation --no-index -e "$root"
  echo "$setup $root" > "$env/sertools-setup"
fi
left=$(differs)
[ -z "$left" ] || { echo "$0: this could not be put right (above); remove ${env#"$root"/} and run it again" >&2; exit 1; }
touch "$env/sertools-made"
echo "== the $kind environment is ready =="
