#!/usr/bin/env bash
# Get the recorded prompts and transcripts of Asterisk from Debian's archive, and unpack them.
#
#   benchmarks/prompts/get_prompts.sh DIR [LANGUAGE ...]        (default: en es fr it ru)
#
# Needs apt-get and dpkg-deb (Debian or Ubuntu) and a network; installs nothing.  Then:
#
#   local/prepare_corpus.py prompts DIR data/prompts
set -euo pipefail

if [[ $# -eq 0 || $1 == -* ]]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    exit 1
fi
mkdir -p "$1/packages"
directory=$(cd "$1" && pwd)
shift
languages=("$@")
[[ ${#languages[@]} -gt 0 ]] || languages=(en es fr it ru)

cd "$directory/packages"
for language in "${languages[@]}"; do
    for name in "asterisk-core-sounds-$language" "asterisk-core-sounds-$language-g722"; do
        if ! compgen -G "${name}_*.deb" > /dev/null; then
            apt-get download "$name" || {
                echo "error: apt-get cannot get $name; is it known?  Try: apt-get update" >&2
                exit 1
            }
        fi
        dpkg-deb --extract "${name}"_*.deb "$directory"
    done
done
echo "unpacked in $directory: $(find "$directory/usr/share/asterisk/sounds" -name '*.g722' | wc -l) prompts"
