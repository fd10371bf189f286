#!/bin/sh
# Asks the engine, by `lavin eval`, what the card tells: reports as JSON below .cache/starter/scores.
#   tools/starter/score.sh MANIFEST [BASE_MANIFEST]
# MANIFEST: the trained model; BASE_MANIFEST: the same bases with adapters at zero, for the text skills before. LIMIT: questions a set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${STARTER_CACHE:-$here/../../.cache/starter}
model=$1
base=${2:-$cache/base/manifest.json}
limit=${LIMIT:-1000}
mkdir -p "$cache/scores"
ask() { # NAME FILE MODEL [flags]
  name=$1 file=$2 of=$3
  shift 3
  npm run -s lavin -- eval --dataset "$cache/data" --file "$file.jsonl" --model "$of" --json "$@" >"$cache/scores/$name.part"
  mv "$cache/scores/$name.part" "$cache/scores/$name.json"
}
ask text-after held-out-text "$model"
ask text-before held-out-text "$base"
ask held-out held-out "$model" --limit "$limit" --wrong-picture
ask unseen-style unseen-style "$model" --limit "$limit" --wrong-picture
