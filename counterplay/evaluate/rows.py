"""Every counted episode as a row, for those who ask: nothing of it leaves the device otherwise."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from counterplay.evaluate.marks import by_label, marks_of_tables
from counterplay.evaluate.tally import Tally, counted
from counterplay.seats import Roster


class Ended(NamedTuple):
    """What rows are made of: one chunk, leaves [..., L, T] and [..., L, T, N]."""

    number: Array
    """Which episode of its lane, from 1, ended in this slot and counts; 0 where none does."""
    length: Array
    returns: Array
    opponent_id: Array


@jax.jit
def ended(tally: Tally, slots: dict[str, Array], quota: Any) -> Ended:
    """The episodes by which a chunk adds to a tally; see ``tally_up``."""
    number = counted(tally, slots, quota)
    return Ended(number, slots["time"] + 1, slots["returns"], slots["opponent_id"])


class EpisodeRows:
    """Collects the episodes of one evaluation, or of several in turn, as columns.

    ``label``, ``lane`` (games of a later evaluation have higher numbers), ``match`` (of its lane),
    ``episode`` (of its match), ``length`` in slots, ``focal`` (the seat under evaluation, or -1),
    and for each seat ``return_0`` and so on, and ``opponent_id_0`` and so on. Where somebody had a
    privilege at play, such as the true simulator, also ``marks``.
    """

    def __init__(self):
        self._parts: list[dict[str, np.ndarray]] = []
        self._labels: dict[str, int] = {}
        self._lanes = 0
        self._here: dict[str, np.ndarray] = {}
        self._match = 1
        self.marks: dict[str, str] = {}
        """Label -> the marks of its players, of labels that have any."""

    def open(self, roster: Roster, lanes: int, match: int) -> None:
        """Begins an evaluation; lanes come table by table."""
        tables = len(roster.tables)
        labels = roster.labels or ("",) * tables
        codes = [self._labels.setdefault(label, len(self._labels)) for label in labels]
        each = np.repeat(np.arange(tables), lanes // tables)
        self._here = {
            "label": np.array(codes, np.int32)[each],
            "lane": np.arange(self._lanes, self._lanes + lanes, dtype=np.int32),
            "focal": np.array(roster.focal or (-1,) * tables, np.int16)[each],
            "marks": np.array(marks_of_tables(roster))[each],
        }
        self._lanes, self._match = self._lanes + lanes, match
        self.marks |= {label: mark for label, mark in by_label(roster).items() if mark}

    def add(self, chunk: Ended, order: np.ndarray | None = None) -> None:
        """Takes over a chunk; its lane i is ``order[i]`` of the evaluation.

        An episode of the same number as an earlier one of its lane is in its place.
        """
        number, length, returns, ids = (np.asarray(x) for x in chunk)
        seats, slots = returns.shape[-1], number.shape[-1]
        at = np.flatnonzero(number)
        lane = at // slots if order is None else order[at // slots]
        before = number.ravel()[at].astype(np.int32) - 1
        columns = {name: x[lane] for name, x in self._here.items()}
        columns |= {"match": before // self._match, "episode": before % self._match}
        columns["length"] = length.ravel()[at].astype(np.int32)
        columns["returns"] = returns.reshape(-1, seats)[at].astype(np.float32)
        columns["ids"] = ids.reshape(-1, seats)[at].astype(np.int16)
        self._parts.append(columns)

    def match_returns(self, kinds: int | None = None) -> dict[str, np.ndarray]:
        """Label -> mean return of an episode in each match, of the focal seat, else of the first.

        Lane by lane, so that seats follow one another. Nothing where nothing was collected.
        Where ``kinds`` of opponents, or of sets of them, are to count alike, the means of
        ``turns``: one match against each; ValueError where one of them was never met.
        """
        if not self._parts:
            return {}
        columns = self.columns()
        returns = np.stack([x for name, x in columns.items() if name.startswith("return_")], 1)
        seat = np.maximum(columns["focal"], 0).astype(np.int64)[:, None]
        own = np.take_along_axis(returns, seat, 1)[:, 0].astype(np.float64)
        by_match, labels = own.reshape(-1, self._match).mean(1), columns["label"][:: self._match]
        codes = np.array([self._labels[label] for label in labels])
        found = {label: by_match[codes == code] for label, code in self._labels.items()}
        if kinds is None:
            return found
        ids = np.stack([x for name, x in columns.items() if name.startswith("opponent_id_")], 1)
        ids = ids[:: self._match]
        met = {label: ids[codes == code] for label, code in self._labels.items()}
        return {label: turns(x, met[label], kinds) for label, x in found.items()}

    def columns(self) -> dict[str, Any]:
        """Name -> one entry a row, lane by lane in the order in which they were played."""
        names = ("label", "lane", "match", "episode", "length", "focal", "marks")
        names += ("returns", "ids")
        if not self._parts:
            raise ValueError("no episode has been collected: give this to an evaluation first")
        whole = {name: np.concatenate([part[name] for part in self._parts]) for name in names}
        order = np.lexsort((whole["episode"], whole["match"], whole["lane"]))  # keeps ties in order
        place = np.stack([whole[name][order] for name in ("lane", "match", "episode")])
        order = order[np.append((place[:, 1:] != place[:, :-1]).any(0), True)]
        whole = {name: x[order] for name, x in whole.items()}
        labels, returns, ids = list(self._labels), whole.pop("returns"), whole.pop("ids")
        seats, marks = range(returns.shape[1]), whole.pop("marks")
        return {
            "label": [labels[code] for code in whole.pop("label")],
            **whole,
            **({"marks": marks.tolist()} if (marks != "").any() else {}),
            **{f"return_{i}": returns[:, i] for i in seats},
            **{f"opponent_id_{i}": ids[:, i] for i in seats},
        }


def turns(returns: np.ndarray, ids: np.ndarray, kinds: int) -> np.ndarray:
    """Means over opponents of one match against each; ``ids`` [matches, seats] say who was met.

    As many as there are matches against who was met least. A mean of them does not depend on who
    was met how often, and their spread is not that between opponents. ValueError where fewer than
    ``kinds`` were met: who was not would be left out of the mean.
    """
    _, kind = np.unique(ids, axis=0, return_inverse=True)
    often = np.bincount(kind.ravel())
    if len(often) < kinds:
        raise ValueError(
            f"only {len(often)} of {kinds} opponents were met in {len(returns)} matches, and all "
            "are to count alike: play more matches"
        )
    return np.mean([returns[kind.ravel() == k][: often.min()] for k in range(len(often))], 0)
