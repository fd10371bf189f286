"""The concepts as data/concepts.txt lists them: names, synonyms, kinds, and where their pictures are to be looked for."""
from __future__ import annotations

from typing import List, NamedTuple, Tuple

from paths import HERE


class Concept(NamedTuple):
    name: str
    synonyms: Tuple[str, ...]
    kind: str
    labels: Tuple[str, ...]     # CLDR short names of emoji that show it
    words: Tuple[str, ...]      # words of clip-art and stamp file names that mean it

    @property
    def names(self) -> Tuple[str, ...]:
        return (self.name, *self.synonyms)


def read_concepts() -> List[Concept]:
    """Every concept of the list, pictures or not, in its order."""
    out: List[Concept] = []
    for line in (HERE / "data" / "concepts.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        fields = [f.strip() for f in line.split("|")]
        if len(fields) != 5:
            raise ValueError(f"concepts.txt: five fields wanted: {line!r}")
        name, synonyms, kind, labels, words = fields
        split = lambda text, by: tuple(p.strip() for p in text.split(by) if p.strip())  # noqa: E731
        out.append(Concept(
            name, split(synonyms, ","), kind, split(labels, ";") or (name,),
            () if words == "-" else tuple(w.lower() for w in (split(words, ",") or (name.replace(" ", "_"),))),
        ))
    return out


PLURAL_NAMES = frozenset({
    "grapes", "cherries", "blueberries", "peanuts", "pancakes", "fries", "scissors", "headphones", "glasses", "sunglasses", "jeans", "gloves",
    "socks", "skis", "fireworks", "paw prints", "footprints", "clapping hands", "folded hands",
})
MASS_NAMES = frozenset({
    "corn", "lettuce", "broccoli", "garlic", "bread", "cheese", "meat", "bacon", "soup", "salad", "popcorn", "rice", "curry", "spaghetti", "sushi",
    "ice cream", "chocolate", "candy", "custard", "honey", "milk", "coffee", "champagne", "wine", "beer", "juice", "soap", "money", "tennis",
    "bowling", "yarn", "rain", "lightning", "fire", "poop", "Santa Claus", "thumbs up", "thumbs down", "music",
})


def with_article(name: str) -> str:
    """"an apple", "grapes", "milk", "the moon"."""
    if name in PLURAL_NAMES or name in MASS_NAMES:
        return name
    if name in ("moon", "sun"):
        return f"the {name}"
    if name in ("UFO", "unicorn"):
        return f"a {name}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def be(name: str) -> str:
    """"This is" or "These are" goes with the name."""
    return "These are" if name in PLURAL_NAMES else "This is"
