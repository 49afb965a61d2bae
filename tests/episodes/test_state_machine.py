"""Any order of writes and reads gives what PyMARL's buffer would give, but for what is intended.

``beside_pymarl.py`` lists what differs on purpose. ``COUNTERPLAY_FULL=1`` runs twenty times as many
sequences.
"""

import os

import numpy as np
from beside_pymarl import CHUNK, LANES, ROWS, SPAN, Beside, model_batch, model_buffer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

HAPPENS = st.lists(
    st.sampled_from((0, 0, 1, 1, 2, 2, 3, 4)), min_size=LANES * CHUNK, max_size=LANES * CHUNK
)
SIZES = {"roomy": (60, 4), "tight": (9, 7)}
"""Slots a lane and episodes: in one the number of episodes tells what is held, in the other the
ring does."""
CONSTANTS = ("matchup", "opponent_id")
STRETCHES = ((0, SPAN), (0, 1), (1, 3), (2, SPAN))


class StoreBesidePymarl(RuleBasedStateMachine):
    @initialize(size=st.sampled_from(tuple(SIZES)))
    def empty(self, size):
        self.size = size
        self.both = Beside(*SIZES[size], model_batch, model_buffer)
        self.rng = np.random.default_rng(0)

    def stored(self) -> int:
        return self.both.buffer.episodes_in_buffer

    @rule(happens=HAPPENS)
    @precondition(lambda self: self.both.rollouts.written < 60)
    def write(self, happens):
        self.both.write(happens)
        if self.size == "roomy":
            assert self.both.held() == self.stored()

    @rule(n=st.integers(1, 8))
    def can_sample(self, n):
        self.both.can_sample(n)

    def drawn(self, data):
        """As many rows as there are, at most three, of both."""
        stored = self.stored()
        n = data.draw(st.integers(1, min(stored, ROWS)))
        rows = data.draw(st.permutations(range(stored)))[:n]
        rows = np.arange(n) if n == stored else np.array(rows)  # then theirs are all, in order
        theirs = self.both.buffer.sample(n, rows)
        return self.both.ours(rows), theirs, rows

    @rule(data=st.data())
    @precondition(lambda self: self.stored() > 0)
    def sample(self, data):
        ours, theirs, rows = self.drawn(data)
        wanted = self.both.wanted(theirs, rows)
        self.both.same(ours, wanted)
        slots = np.where(wanted["filled"], np.arange(SPAN), 0)
        assert np.array_equal(np.asarray(ours["time"])[: len(rows)], slots)

    @rule(data=st.data(), stretch=st.sampled_from(STRETCHES), backwards=st.booleans())
    @precondition(lambda self: self.stored() > 0)
    def part(self, data, stretch, backwards):
        ours, theirs, rows = self.drawn(data)
        some = [*range(len(rows))][:: -1 if backwards else 1]
        wanted = self.both.wanted(theirs, rows)
        cut = {
            name: x[some] if name in CONSTANTS else x[some, slice(*stretch)]
            for name, x in wanted.items()
        }
        padded = [*some, *range(len(rows), ROWS)]
        batch = ours[padded, slice(*stretch)]
        live = wanted["filled"][some].any(1)
        for name in CONSTANTS:  # a part may hold none of an episode's slots, and its constants
            found = np.asarray(batch[name])[: len(rows)]
            assert np.array_equal(found[live], cut.pop(name)[live])
        self.both.same(batch, cut)
        assert batch.max_seq_length == stretch[1] - stretch[0]
        first = np.asarray(ours.where.slot)[padded] + stretch[0]
        assert np.array_equal(batch.where.slot, first)

    @rule(data=st.data())
    @precondition(lambda self: self.stored() > 0)
    def trim(self, data):
        ours, theirs, rows = self.drawn(data)
        wanted = self.both.wanted(theirs, rows)
        longest = int(wanted["filled"].sum(1).max())
        trimmed = ours.trim()
        length = trimmed.max_seq_length
        assert longest <= length <= max(2 * longest - 1, 1)
        assert int(theirs.max_t_filled()) >= longest
        assert not wanted["filled"][:, length:].any()
        cut = {n: x if n in CONSTANTS else x[:, :length] for n, x in wanted.items()}
        self.both.same(trimmed, cut)


TestStoreBesidePymarl = StoreBesidePymarl.TestCase
TestStoreBesidePymarl.settings = settings(
    max_examples=10_000 if os.environ.get("COUNTERPLAY_FULL") else 500,
    stateful_step_count=15,
    deadline=None,
)
