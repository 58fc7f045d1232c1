#!/usr/bin/env bash
# Resolve requirements/{full,modern}.in and write the locks requirements/{full,modern}.txt.
#
# Every line carries the hash of the file that was chosen (Linux x86-64, Python 3.11), so what
# `make env` installs is what was tested.  Run by hand, when a version is to be changed.  Written by hand
# (pip hash FILE): pip.txt, build.txt, k2.txt, and the hash of kaldifeat's source in build_kaldifeat.sh.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3.11 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q -r pip.txt
for name in full modern; do
  "$tmp/venv/bin/pip" install -q --dry-run --ignore-installed --report "$tmp/$name.json" -r $name.in
  "$tmp/venv/bin/python" - "$tmp/$name.json" $name > "$tmp/$name.txt" <<'PY'
import json
import sys

report, name = sys.argv[1:]
print(f"# Made by utils/lock_requirements.sh from {name}.in: Linux x86-64, Python 3.11.  Do not edit.")
for item in sorted(json.load(open(report))["install"], key=lambda i: i["metadata"]["name"].lower()):
    version = item["metadata"]["version"].split("+")[0]
    # torch 2.x comes in many builds (CPU, CUDA, ROCm); which one is the user's choice.
    if item["metadata"]["name"] == "torch" and name == "modern":
        continue
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    print(f"{item['metadata']['name']}=={version} --hash=sha256:{digest}")
PY
  mv "$tmp/$name.txt" $name.txt
done
