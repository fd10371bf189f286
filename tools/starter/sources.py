"""The pictures' and words' sources: package, version, licence, what each is used for. `python3 sources.py` prints the table."""
from __future__ import annotations

from typing import List, NamedTuple


class Source(NamedTuple):
    name: str        # folder below downloads/
    kind: str        # "npm" | "deb"
    package: str
    version: str
    licence: str
    by: str
    family: str      # pictures of one family show the same drawing, whatever the shading: they share a split
    use: str         # "train" | "unseen style" | "words"


SOURCES: List[Source] = [
    Source("noto", "npm", "@iconify-json/noto", "1.2.9", "Apache-2.0", "Google (Noto Emoji)", "noto", "train"),
    Source("google-5", "npm", "emoji-datasource-google", "5.0.1", "Apache-2.0 (pictures), MIT (package)", "Google (Noto Emoji of 2019)", "noto", "train"),
    Source("noto-v1", "npm", "@iconify-json/noto-v1", "1.2.5", "Apache-2.0", "Google (Noto Emoji, first design)", "noto-v1", "train"),
    Source("twemoji", "npm", "@iconify-json/twemoji", "1.2.5", "CC-BY-4.0", "Twitter and contributors (Twemoji)", "twemoji", "train"),
    Source("twitter-4", "npm", "emoji-datasource-twitter", "4.1.0", "CC-BY-4.0 (pictures), MIT (package)", "Twitter and contributors (Twemoji of 2018)", "twemoji", "train"),
    Source("emojione", "npm", "@iconify-json/emojione", "1.2.3", "CC-BY-4.0", "Emoji One (second design, as EmojiTwo keeps it)", "emojione", "train"),
    Source("fxemoji", "npm", "@iconify-json/fxemoji", "1.2.2", "Apache-2.0", "Mozilla (Firefox OS Emoji)", "fxemoji", "train"),
    Source("fluent", "npm", "@iconify-json/fluent-emoji", "1.2.7", "MIT", "Microsoft (Fluent Emoji)", "fluent", "train"),
    Source("fluent-flat", "npm", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "Microsoft (Fluent Emoji, flat)", "fluent", "train"),
    Source("fluent-3d", "npm", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "Microsoft (Fluent Emoji, 3D)", "fluent", "train"),
    Source("streamline", "npm", "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0", "Streamline", "streamline", "train"),
    Source("tuxpaint", "deb", "tuxpaint-stamps-default", "2022.06.04-1", "GPL-2, single stamps public domain", "Tux Paint contributors (photographs and drawings)", "tuxpaint", "train"),
    Source("openclipart", "deb", "openclipart-svg", "1:0.18+dfsg-19", "public domain", "Open Clip Art Library contributors", "openclipart", "train"),
    Source("openmoji", "npm", "openmoji", "15.1.0", "CC-BY-SA-4.0", "OpenMoji contributors", "openmoji", "unseen style"),
    Source("emojibase", "npm", "emojibase-data", "17.0.0", "MIT", "Emojibase (names of emoji)", "", "words"),
    Source("wordnet", "deb", "wordnet-base", "1:3.0-37", "WordNet licence (permissive)", "Princeton University", "", "words"),
]


def table() -> str:
    rows = ["| source | package | licence | by | use |", "|---|---|---|---|---|"]
    rows += [f"| {s.name} | {s.kind} `{s.package}` {s.version} | {s.licence} | {s.by} | {s.use} |" for s in SOURCES]
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
