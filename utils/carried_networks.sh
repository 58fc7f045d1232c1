#!/usr/bin/env bash
# carried_networks.sh [NETWORK...]: a line of the networks that egs/benchmark/run_pretraining.sh has listed and of those
# given besides, each once; for `make benchmark`.  One that is not trained is an error.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
listed=egs/benchmark/exp/pretrained_networks
[ -e "$listed" ] || { echo "error: there is no $listed, which run_pretraining.sh writes when it starts" >&2; exit 2; }
networks=() known=' '
mapfile -t found < "$listed"
for one in "${found[@]}" "$@"; do
  # as ./run.sh finds them: from here, or from its own folder
  if [[ -e $one && $one != /* ]]; then folder=$PWD/$one; else folder=$(cd egs/benchmark && realpath -m "$one"); fi
  folder=$(realpath -m "$folder")
  [ -d "$folder/checkpoint" ] || { echo "error: $one has no checkpoint: it is not pretrained yet, or no network" >&2; exit 2; }
  if [[ $known != *" $folder "* ]]; then networks+=("$one"); fi
  known+="$folder "
done
echo "${networks[*]}"
