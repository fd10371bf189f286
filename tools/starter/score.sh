#!/bin/sh
# Asks the engine, by `lavin eval`, what the card tells: reports as JSON below .cache/starter/scores.
#   tools/starter/score.sh MANIFEST [BASE_MANIFEST]
# MANIFEST: the trained model; BASE_MANIFEST: the same bases with adapters at zero, for the text skills before.
# LIMIT: questions a set (the starter's card: 1500). TEXT: the set without pictures. SCORES: another folder.
#   SCORES=.cache/starter/scores-smollm2 TEXT=smollm2-words LIMIT=300 tools/starter/score.sh \
#     public/models/smollm2-vision/manifest.json .cache/starter/smollm2-base/manifest.json
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${STARTER_CACHE:-$here/../../.cache/starter}
model=$1
base=${2:-$cache/base/manifest.json}
limit=${LIMIT:-1000}
text=${TEXT:-held-out-text}
scores=${SCORES:-$cache/scores}
mkdir -p "$scores"
ask() { # NAME DATASET FILE MODEL [flags]
  name=$1 dataset=$2 file=$3 of=$4
  shift 4
  npm run -s lavin -- eval --dataset "$dataset" --file "$file.jsonl" --model "$of" --json "$@" >"$scores/$name.part"
  mv "$scores/$name.part" "$scores/$name.json"
}
if [ "$text" = held-out-text ]; then
  ask starter-200 "$here/../../tests/models/starter-200" questions "$model"
fi
ask text-after "$cache/data" "$text" "$model" --limit "$limit"
ask text-before "$cache/data" "$text" "$base" --limit "$limit"
ask held-out "$cache/data" held-out "$model" --limit "$limit" --wrong-picture
ask unseen-style "$cache/data" unseen-style "$model" --limit "$limit" --wrong-picture
