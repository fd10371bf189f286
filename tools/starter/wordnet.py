"""Short definitions of the concepts from WordNet 3.0's own files: the sense whose ancestors fit the concept's kind."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Dict, List, Optional, Set

from paths import DOWNLOADS, TEXTS

FOLDER = DOWNLOADS / "wordnet" / "usr/share/wordnet"
#: A word among a sense's ancestors that says it is of the kind.
ANCESTORS = {
    "animal": {"animal"}, "bird": {"bird"}, "insect": {"insect", "arthropod"}, "small animal": {"animal", "invertebrate"}, "sea animal": {"animal"},
    "fruit": {"fruit", "food"}, "vegetable": {"vegetable", "food", "vegetable_oil"}, "food": {"food", "nutriment", "foodstuff"}, "sweet": {"food", "nutriment"},
    "drink": {"beverage", "food"}, "plant": {"plant", "plant_part"}, "flower": {"flower", "plant"}, "vehicle": {"vehicle", "craft", "conveyance"},
    "building": {"structure", "artifact"}, "clothing": {"clothing", "covering", "footwear", "artifact"}, "tool": {"tool", "instrument", "device", "implement", "artifact"},
    "machine": {"device", "machine", "equipment", "artifact"}, "household thing": {"artifact", "instrumentality"}, "musical instrument": {"musical_instrument", "device"},
    "ball": {"ball", "equipment", "game_equipment"}, "toy": {"artifact", "plaything"}, "body part": {"body_part", "part"}, "paper thing": {"artifact", "communication"},
    "person": {"person", "spiritual_being", "imaginary_being"}, "weather": {"phenomenon", "weather"}, "thing in the sky": {"celestial_body", "star", "location"},
    "place": {"geological_formation"}, "natural force": {"phenomenon"}, "prize": {"award", "artifact"}, "money": {"currency", "medium_of_exchange"},
    "symbol": {"symbol", "signal", "communication"}, "sign": {"signal", "communication", "artifact"},
}


class Noun:
    def __init__(self) -> None:
        self.index: Dict[str, List[str]] = {}
        for line in (FOLDER / "index.noun").read_text().splitlines():
            if not line.startswith(" "):
                f = line.split()
                self.index[f[0]] = f[-int(f[2]):]
        self.data = {line[:8]: line for line in (FOLDER / "data.noun").read_text().splitlines() if not line.startswith(" ")}

    def words(self, offset: str) -> List[str]:
        f = self.data[offset].split()
        return [f[4 + 2 * i].lower() for i in range(int(f[3], 16))]

    def parents(self, offset: str) -> List[str]:
        return re.findall(r" @i? (\d{8}) n", self.data[offset].split(" | ")[0])

    def ancestors(self, offset: str) -> Set[str]:
        out: Set[str] = set()
        todo = [offset]
        while todo:
            for p in self.parents(todo.pop()):
                out.update(self.words(p))
                todo.append(p)
        return out

    def gloss(self, offset: str) -> str:
        text = self.data[offset].split(" | ", 1)[1].strip()
        text = re.sub(r'; ".*', "", text)            # examples
        text = re.sub(r"\([^)]*\)", "", text).split(";")[0]
        return re.sub(r"\s+", " ", text).strip(" ,.")

    def define(self, name: str, kind: str, longest: int = 90) -> Optional[str]:
        """The gloss of the first sense that fits the kind and is short enough."""
        wanted = ANCESTORS.get(kind, set())
        for form in (name.lower().replace(" ", "_"), name.lower().replace(" ", ""), name.lower().removesuffix("s").replace(" ", "_")):
            for offset in self.index.get(form, []):
                if wanted & self.ancestors(offset):
                    gloss = self.gloss(offset)
                    if 8 <= len(gloss) <= longest and name.lower() not in gloss:
                        return gloss
        return None


def definitions(concepts: List[dict]) -> Dict[str, str]:
    """Name -> gloss, for the concepts that have one; kept in texts/definitions.json."""
    path: Path = TEXTS / "definitions.json"
    if not path.exists():
        noun = Noun()
        found = {c["name"]: noun.define(c["name"], c["kind"]) for c in concepts}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({k: v for k, v in found.items() if v}, indent=1))
    return json.loads(path.read_text())
