#!/usr/bin/env bash
# Resolve requirements/*.in and write the locks requirements/{full,modern}.txt and of every extra.
#
#   utils/lock_requirements.sh                     everything
#   utils/lock_requirements.sh ssl-full ssl-modern these alone
#
# Every line carries the hash of the file that was chosen (Linux x86-64, Python 3.11), so what
# `make env` installs is what was tested.  An extra (EXTRA-full.in, EXTRA-modern.in) is resolved beside
# its environment's lock and those of the extras before it in the alphabet, and has only what they lack;
# utils/add_extra.sh installs it.  Run by hand, when a version is to be changed.  Written by hand
# (pip hash FILE): pip.txt, build.txt, k2.txt, and the hash of kaldifeat's source in build_kaldifeat.sh.
set -euo pipefail
if [ "${1-}" = --help ]; then
  # the comment above
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
  exit
fi
unset CDPATH PYTHONPATH PYTHONHOME
shopt -s nullglob
cd "$(dirname "$0")/../requirements"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3.11 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q -r pip.txt
names=("$@")
if [ ${#names[@]} = 0 ]; then
  names=(full modern)
  for file in *-full.in *-modern.in; do names+=("${file%.in}"); done
fi
for name in "${names[@]}"; do
  kind=${name##*-}
  : > "$tmp/held.txt"
  if [ "$name" != "$kind" ]; then
    for lock in "$kind.txt" *-"$kind.txt"; do
      if [ "$lock" = "$kind.txt" ] || [[ "$lock" < "$name.txt" ]]; then
        sed -n 's/ --hash=.*//p' "$lock" >> "$tmp/held.txt"
      fi
    done
    if [ "$kind" = modern ]; then cat modern-torch.txt >> "$tmp/held.txt"; fi
  fi
  "$tmp/venv/bin/pip" install -q --dry-run --ignore-installed --report "$tmp/$name.json" -c "$tmp/held.txt" -r "$name.in"
  "$tmp/venv/bin/python" - "$tmp/$name.json" "$name" "$tmp/held.txt" > "$tmp/$name.txt" <<'PY'
import json
import re
import sys


def plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


report, name, held_file = sys.argv[1:]
held = {plain(line.split("==")[0]) for line in open(held_file) if "==" in line}
print(f"# Made by utils/lock_requirements.sh from {name}.in: Linux x86-64, Python 3.11.  Do not edit.")
for item in sorted(json.load(open(report))["install"], key=lambda i: i["metadata"]["name"].lower()):
    version = item["metadata"]["version"].split("+")[0]
    # torch 2.x comes in many builds (CPU, CUDA, ROCm); which one is the user's choice.
    if item["metadata"]["name"] == "torch" and name.endswith("modern"):
        continue
    if plain(item["metadata"]["name"]) in held:
        continue
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    print(f"{item['metadata']['name']}=={version} --hash=sha256:{digest}")
PY
  mv "$tmp/$name.txt" "$name.txt"
done
