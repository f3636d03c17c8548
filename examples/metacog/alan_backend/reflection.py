"""What the service thinks of a thought: the same text always gets the same answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Stance:
    """A way to hold a thought: the words that betray it, and the question to ask back."""

    name: str
    words: frozenset[str]
    question: str


@dataclass(frozen=True)
class Mirror:
    """The stances that the service can tell apart, and the one for a text that shows none of them."""

    stances: tuple[Stance, ...]
    neutral: Stance

    def reflect(self, text: str) -> dict[str, object]:
        """The stance with the most words in the text (the first one listed wins a tie), and what each one scored.

        A score is the share of the text's words that betray the stance, from 0 to 1, rounded to 3 digits.
        """
        words = [word.casefold().replace("’", "'") for word in _WORD.findall(text)]
        hits = {stance.name: sum(word in stance.words for word in words) for stance in self.stances}
        best = max(self.stances, key=lambda stance: hits[stance.name])
        if hits[best.name] == 0:
            best = self.neutral
        scores = {name: round(count / len(words), 3) if words else 0.0 for name, count in hits.items()}
        return {"stance": best.name, "question": best.question, "scores": scores}


def load_mirror(path: Path) -> Mirror:
    """Reads ``config/stances.json``."""
    data = json.loads(path.read_text(encoding="utf-8"))
    stances = [
        Stance(item["name"], frozenset(word.casefold() for word in item["words"]), item["question"])
        for item in data["stances"]
    ]
    neutral = data["neutral"]
    return Mirror(tuple(stances), Stance(neutral["name"], frozenset(), neutral["question"]))


def token_count(text: str) -> int:
    """What a text costs of ``MAX_TOKENS_PER_MIN``: its words, parted by white space, and at least one."""
    return max(1, len(text.split()))
