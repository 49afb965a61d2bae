"""The true simulator in views, views cut from it, and searches in it."""

from typing import Any, ClassVar, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scripted import collected, opened

from counterplay import envs
from counterplay.envs.hosting import host_native
from counterplay.envs.stag_hunt import HUNT_HARE, HUNT_STAG, RIGHT, STAY, StagHunt, State
from counterplay.evaluate.beside import Beside
from counterplay.maths import masked_log_softmax, sample_action
from counterplay.planning.simulator import Thought, next_view, place, simulator
from counterplay.planning.tree import search
from counterplay.pools import find
from counterplay.rollout_host import open_host
from counterplay.seats import Chair, Kind, Roster, bank, needs_state
from counterplay.types import NO_MOVE, Act, Simulator, TimeStep, View
from counterplay.views import view_shapes


class Looking(eqx.Module):
    """Moves at random, takes down what it sees, and the simulator where it is given one."""

    lot: Any
    needs_state: ClassVar[bool] = False

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view: View, greedy: bool) -> Act:
        log_pi = masked_log_softmax(jnp.zeros(len(view.legal)), view.legal)
        assert (view.state is not None) == self.needs_state, "given to those alone who need it"
        seen: Any = view
        return Act(sample_action(key, log_pi), memory, {"view": seen})


class Privileged(Looking):
    needs_state: ClassVar[bool] = True


ENV = StagHunt(players=3, stags=1, hares=3, size=3, horizon=6, view=2)
"""Small enough that players meet, leave and lose sight of one another."""
LANES, SLOTS = 16, 24


@pytest.fixture(scope="module")
def play() -> Any:
    """Tables where the privileged sits at seats 0 and 2, then at 1."""
    kinds = tuple(
        Kind(name, policy=bank([one(jnp.zeros(()))]), first_id=i)
        for i, (name, one) in enumerate((("looks", Looking), ("knows", Privileged)))
    )
    tables = tuple(tuple(Chair(k, 0) for k in row) for row in ((1, 0, 1), (0, 1, 0)))
    roster = Roster(kinds, tables)
    # as often each: every member sits at equally many places of its kind, which has but one
    seating = roster.seating(LANES)
    lanes = opened(ENV, seating, roster.others, jr.key(0))
    _, chunk = collected(ENV, seating, roster.others, lanes, jr.key(1), slots=SLOTS)
    return seating, chunk


def test_the_simulator_is_that_of_the_lane_and_says_where_one_sits(play):
    seating, chunk = play
    assert chunk.records[0]["view"].state is None
    lane, seat = np.divmod(seating.places[1][0], ENV.num_seats)
    assert set(seat.tolist()) == {0, 1, 2}
    true: Any = chunk.records[1]["view"].state
    assert (np.asarray(true.seat)[0] == seat[:, None]).all()
    obs = np.asarray(chunk.slots["obs"])
    state: State = jax.tree.map(lambda x: np.asarray(x)[0], true.game)
    for p, (here, mine) in enumerate(zip(lane, seat, strict=True)):
        seen = jax.vmap(lambda s: ENV._observe(s))(jax.tree.map(lambda x, p=p: x[p], state))
        assert np.array_equal(seen, obs[here]), "the whole state makes the observations of all"
        assert np.array_equal(np.asarray(seen)[:, mine], obs[here][:, mine])


def test_views_cut_in_the_simulator_are_those_of_the_rollout(play):
    seating, chunk = play
    views: View = jax.tree.map(lambda x: x[0], chunk.records[1]["view"])  # [P, T, ...]
    lane = seating.places[1][0] // ENV.num_seats
    moves, alive = (jnp.asarray(chunk.slots[name])[lane] for name in ("actions", "alive"))

    def one(simulated: Simulator, moves, alive, time) -> View:
        _, shown = ENV.step(simulated.game, moves)
        return next_view(ENV, simulated.seat, moves, alive, shown, time + 1)

    cut = jax.jit(jax.vmap(jax.vmap(one)))(views.state, moves, alive, views.time)
    goes_on = ~np.asarray(views.first)[:, 1:]
    assert goes_on.sum() > 100 and (~np.asarray(alive)[:, 1:])[goes_on].any()
    bare = eqx.tree_at(lambda v: v.state, views, None)
    for name in View.__dataclass_fields__:
        if name != "state":
            mine, theirs = np.asarray(getattr(cut, name)), np.asarray(getattr(bare, name))
            assert np.array_equal(mine[:, :-1][goes_on], theirs[:, 1:][goes_on]), name


def test_games_outside_jax_refuse_who_needs_their_state():
    env = envs.make("matrix:pd,horizon=3")
    roster = Roster(
        (Kind("knows", policy=bank([Privileged(jnp.zeros(()))])),), ((Chair(0, 0),) * 2,)
    )
    assert needs_state(roster.others[0])
    with pytest.raises(ValueError, match="is played outside JAX, and a policy here needs the true"):
        open_host(host_native(env), roster.seating(1), roster.others, 0)
    with pytest.raises(ValueError, match="it has no state that a policy could step"):
        view_shapes(cast(Any, host_native(env)), state=True)


HUNT = StagHunt(players=2, stags=1, hares=1, size=4, horizon=6)
STAG, HARE = 6, 5
"""Cells: I stand on the hare, with the stag to the right, where my partner waits."""


def hunting(me: int, moves: int, partner_hunts: float = 0.9) -> Any:
    """The plan at seat ``me``; the partner is expected to hunt the stag, or else to stay."""
    players = np.full(2, STAG)
    players[me] = HARE
    state = State(
        jnp.asarray(players, jnp.int32),
        jnp.array([STAG], jnp.int32),
        jnp.array([HARE], jnp.int32),
        jnp.zeros(0, jnp.int32),
        jnp.int32(0),
    )

    def think(key, memory, view: View) -> Thought:
        his = jnp.zeros(7).at[HUNT_STAG].set(partner_hunts).at[STAY].set(1 - partner_hunts)
        can = view.public_legal[1]
        his = jnp.where(view.alive[1] & can[HUNT_STAG], his, 0.0)
        log_pi = masked_log_softmax(jnp.zeros(7), view.legal)
        return Thought(log_pi, jnp.zeros(()), his[None], memory)

    def plan(state: State, seat, key) -> Any:
        shown = HUNT._show(state, jnp.zeros(2), jnp.full(2, -1), jnp.ones((2, 2), bool))
        quiet = jnp.full(2, NO_MOVE, jnp.int32)
        first = next_view(HUNT, seat, quiet, shown.alive, shown, jnp.int32(0))
        view = eqx.tree_at(
            lambda v: v.state, first, Simulator(state, seat), is_leaf=lambda x: x is None
        )
        root = place(key, think, (), view)
        told = root, (), root.thought.log_pi, view.legal, view.alive, key
        return search(*simulator(HUNT, think), *told, simulations=moves, gamma=0.9), root

    return jax.tree.map(np.asarray, jax.jit(plan)(state, jnp.int32(me), jr.key(3)))


@pytest.mark.parametrize("me", [0, 1])
def test_next_to_a_stag_with_a_partner_who_hunts_the_hare_is_left_alone(me):
    """The hare pays 1 at once, the stag .9 (.9 x 5) two moves on; seats do not matter."""
    plan, _ = hunting(me, 60)
    assert plan.weights.argmax() == RIGHT and plan.q[HUNT_HARE] == pytest.approx(1.0)
    assert 2.0 < plan.q[RIGHT] < 0.9 * 5 and plan.weights[HUNT_STAG] == 0


def test_with_a_partner_who_never_hunts_the_hare_is_taken():
    plan, _ = hunting(0, 60, partner_hunts=0.0)
    assert plan.weights.argmax() == HUNT_HARE and plan.q[RIGHT] < 1


def test_a_search_without_a_simulator_says_so():
    view = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), view_shapes(HUNT))
    with pytest.raises(ValueError, match="wants its state in the view, found None"):
        place(jr.key(0), lambda *seen: None, (), view)  # type: ignore


KNOWS = """
import jax.numpy as jnp
from counterplay.types import Act


class Knows:
    needs_state = True

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        other = 1 - view.state.seat
        return Act(view.state.game.moves[other] * 0 + 1, memory, {})
"""


def test_a_policy_of_ones_own_may_need_the_simulator(tmp_path):
    (tmp_path / "bot.py").write_text(KNOWS)
    env = envs.make("matrix:pd,horizon=3")
    assert needs_state(find(f"{tmp_path}/bot.py:Knows", env, 0))
    with pytest.raises(ValueError, match=r"cannot play .* has no state that a policy could step"):
        find(f"{tmp_path}/bot.py:Knows", cast(Any, host_native(env)), 0)


def test_what_watches_beside_a_policy_hands_the_simulator_on():
    knows, looks = Privileged(jnp.zeros(())), Looking(jnp.zeros(()))
    for wraps in (lambda p: bank([p]), lambda p: Beside(p, ()), lambda p: Beside(bank([p]), ())):
        assert needs_state(wraps(knows)) and not needs_state(wraps(looks))


class Coin(NamedTuple):
    key: Any
    time: Any


class Coins:
    """Whoever calls the coin that falls in ``step`` wins a point, and the episode is over."""

    num_seats, num_actions, num_goals, horizon = 2, 2, 0, 1
    public_legal = public_events = True
    obs_shape, obs_dtype = (1,), np.dtype(np.uint8)

    def encode(self, obs):
        return obs.astype(jnp.float32)

    def show(self, reward, over) -> TimeStep:
        return TimeStep(
            obs=jnp.zeros((2, 1), jnp.uint8),
            legal=jnp.ones((2, 2), bool),
            alive=jnp.ones(2, bool),
            reward=reward,
            event=jnp.full(2, -1),
            visible=jnp.ones((2, 2), bool),
            terminated=over,
            truncated=jnp.zeros((), bool),
        )

    def reset(self, key):
        return Coin(key, jnp.int32(0)), self.show(jnp.zeros(2), jnp.array(False))

    def render(self, state): ...

    def step(self, state: Coin, actions):
        falls = falling(state)
        return Coin(state.key, state.time + 1), self.show(1.0 * (actions == falls), jnp.array(True))


class Shaken(Coins):
    def rekeyed(self, state: Coin, key) -> Coin:
        return state._replace(key=key)


def falling(state: Coin):
    return jr.bernoulli(jr.fold_in(state.key, state.time)).astype(jnp.int32)


@pytest.mark.parametrize(("env", "foresees"), [(Coins(), 1.0), (Shaken(), 0.5)])
def test_who_searches_sees_no_lots_that_a_game_can_draw_anew(env, foresees):
    def think(key, memory, view: View) -> Thought:
        return Thought(jnp.log(jnp.full(2, 0.5)), jnp.zeros(()), jnp.full((1, 2), 0.5), memory)

    def foreseen(key) -> Any:
        state, shown = env.reset(key)
        quiet = jnp.full(2, NO_MOVE, jnp.int32)
        first = next_view(env, jnp.int32(0), quiet, shown.alive, shown, jnp.int32(0))
        view = eqx.tree_at(
            lambda v: v.state, first, Simulator(state, jnp.int32(0)), is_leaf=lambda x: x is None
        )
        root = place(key, think, (), view)
        told = root, (), root.thought.log_pi, view.legal, view.alive, jr.fold_in(key, 9)
        return search(*simulator(env, think), *told, simulations=16, gamma=1.0).weights[
            falling(state)
        ]

    shares = jax.jit(jax.vmap(foreseen))(jr.split(jr.key(1), 256))
    assert shares.mean() == pytest.approx(foresees, abs=0.1)
