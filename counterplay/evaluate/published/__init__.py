"""The references of the scenarios, as ``counterplay headroom --publish`` left them."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay.evaluate.adaptation import Adaptation, adaptation
from counterplay.evaluate.scenarios import SCENARIOS, Scenario

FOLDER = Path(__file__).parent
NAMES = ("random", "blind", "filter", "oracle")


class References(NamedTuple):
    """What each earns an episode against one set: means of blocks of matches."""

    random: Float[np.ndarray, " B"]
    blind: Float[np.ndarray, " B"]
    filter: Float[np.ndarray, " B"]
    oracle: Float[np.ndarray, " B"]
    weak: bool = False
    """The blind player is known to be too weak: no score is told."""
    digest: str = ""
    """Of the published file, for results to say between which references a score lies."""

    def score(self, returns: Any) -> Adaptation:
        """Where an agent lies between them; ``returns`` as in ``adaptation``."""
        fixed = {name: getattr(self, name)[None] for name in NAMES}  # one seed, chosen; its blocks
        found = adaptation(returns, **fixed)
        return found._replace(score=None) if self.weak else found

    @property
    def tells(self) -> bool:
        """Whether knowing the others pays enough for an adaptation score."""
        return self.score(self.filter[None]).score is not None


def path_of(scenario: Scenario) -> Path:
    return FOLDER / f"{scenario.file}.json"


def digest(scenario: Scenario) -> str:
    """12 hexadecimal digits of the SHA-256 of the published file."""
    return hashlib.sha256(path_of(scenario).read_bytes()).hexdigest()[:12]


def measured(scenario: Scenario) -> str:
    """The day when the references were measured, and the commit, as far as the file says so."""
    found = read(scenario)
    commit, mark, dirty = found.get("commit", "").partition("-")
    return ", ".join(part for part in (found.get("date", ""), commit[:7] + mark + dirty) if part)


def there() -> list[Scenario]:
    """The scenarios whose references are published."""
    return [s for s in SCENARIOS.values() if path_of(s).is_file()]


def telling() -> list[Scenario]:
    """Those among them in which adaptation scores are told against the training set, but for
    those that stand beside others."""
    return [s for s in there() if not s.beside and references(s).tells]


def read(scenario: Scenario) -> dict[str, Any]:
    """What was published; ValueError where nothing was."""
    path = path_of(scenario)
    if not path.is_file():
        raise ValueError(
            f"{scenario.name} has no published references: make them with counterplay headroom "
            f"{scenario.name} --publish"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def references(scenario: Scenario, pool: str = "train") -> References:
    """Of one set of the scenario, ``train`` or ``held-out``."""
    found = read(scenario)
    rows = found["sets"]
    if scenario.balanced and not found.get("balanced"):
        raise ValueError(
            f"the references of {scenario.name} were measured with opponents as they were drawn, "
            "while agents meet all as often: make them anew with counterplay headroom "
            f"{scenario.name} --publish --replace"
        )
    if pool not in rows:
        raise ValueError(f"{scenario.name} has references for {', '.join(rows)}, not for {pool}")
    blocks = (np.array(rows[pool][name]["blocks"]) for name in NAMES)
    return References(*blocks, weak=scenario.weak, digest=digest(scenario))
