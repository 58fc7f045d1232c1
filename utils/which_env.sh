#!/usr/bin/env bash
# Which of the two environments this machine wants, full or modern; prints its name.
#
# torch 1.13.1 (full) has code for GPUs of compute capability 3.7 to 8.x.  Where nvidia-smi shows a later one
# (H100, H200: 9.0; B200: 10.0; RTX 50: 12.0), modern is printed, and full otherwise: also without a GPU.
set -euo pipefail
if [ "${1-}" = --help ]; then
  # the comment above
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
  exit
fi
wanted=full
if command -v nvidia-smi > /dev/null 2>&1; then
  # a driver that hangs must not keep everything waiting
  while IFS=. read -r major _; do
    if [[ $major =~ ^[0-9]+$ ]] && [ "$major" -ge 9 ]; then wanted=modern; fi
  done < <(timeout 20 nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null || true)
fi
echo "$wanted"
