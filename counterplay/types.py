"""The words of this library, on one page. Read this file first.

Axis letters, the same everywhere: ``L`` lanes (games side by side), ``T`` slots, ``N`` seats,
``M = N - 1`` others, ``A`` actions, ``G`` goals, ``K`` pool members, ``P`` places of one member
(lane and seat), ``D`` stored observation, ``F`` encoded observation. ``True`` is the good case.

The slot rule. Slot t holds what was seen at t, what was done at t, and what that earned (reward,
terminated, truncated, left). A terminated episode has no closing slot. A truncated one has one
more slot that only shows: filled, no action, never in a policy loss; its value is a bootstrap.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

NO_MOVE = -1
"""In place of an action: nobody there, or out of sight."""
NO_EVENT = -1
"""In place of a goal: nothing was completed."""
NO_TYPE = -1
"""In place of a type or a mode: none is declared."""

State = Any
"""Whatever a game keeps: a pytree of arrays, integers wherever possible."""
Memory = Any
"""Whatever a policy keeps between two of its moves: a pytree of arrays."""


class TimeStep(eqx.Module):
    """What a game shows at the start of slot t. ``step`` never resets; the rollout does."""

    obs: Shaped[Array, "N D"]
    """Compact, in the game's declared dtype; ``env.encode`` makes the float32 a network reads."""
    legal: Bool[Array, "N A"]
    alive: Bool[Array, " N"]
    reward: Float[Array, " N"]
    """Earned by the moves of slot t - 1; the stream stores it in slot t - 1."""
    event: Int[Array, " N"]
    """Goal completed by the moves of slot t - 1, or NO_EVENT."""
    visible: Bool[Array, "N N"]
    """Row i saw the move of column j in slot t - 1."""
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]


@runtime_checkable
class Env(Protocol):
    """A game in pure JAX. One instance is hashable and holds settings only.

    A game whose ``step`` draws lots has ``rekeyed(state, key)``, too: the same state, after which
    others are drawn.
    """

    @property
    def num_seats(self) -> int: ...
    @property
    def num_actions(self) -> int: ...
    @property
    def num_goals(self) -> int: ...
    @property
    def horizon(self) -> int:
        """No episode has more slots than this."""
        ...

    @property
    def obs_shape(self) -> tuple[int]: ...
    @property
    def obs_dtype(self) -> np.dtype: ...
    @property
    def public_legal(self) -> bool:
        """The rules let everyone see everyone's legal moves."""
        ...

    @property
    def public_events(self) -> bool:
        """Everyone sees whose goal was completed."""
        ...

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]: ...

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Moves everyone at once; an absent player's action is NO_MOVE."""
        ...

    def encode(self, obs: Shaped[Array, " D"]) -> Float[Array, " F"]: ...

    def render(self, state: State) -> "Picture": ...


class Picture(NamedTuple):
    """One state for people: ``pixels`` is uint8 [height, width, 3], ``text`` the same in words."""

    pixels: np.ndarray
    text: str


class View(eqx.Module):
    """All that one seat may see when it acts. Index 0 is me, then seats (me + 1) % N and so on."""

    obs: Float[Array, " F"]
    legal: Bool[Array, " A"]
    alive: Bool[Array, " N"]
    moved: Int[Array, " N"]
    """Moves of slot t - 1 as far as visible, else NO_MOVE."""
    public_legal: Bool[Array, "N A"]
    """Everyone's legal moves where the rules make them public, else all True for the others."""
    reward: Float[Array, ""]
    """Mine, of slot t - 1."""
    event: Int[Array, " N"]
    """Goals completed in slot t - 1: mine, and the others' where events are public."""
    time: Int[Array, ""]
    """Slots since the episode began."""
    first: Bool[Array, ""]
    """The first slot of an episode. In a later episode of a match ``moved``, ``reward`` and
    ``event`` are those of the last joint move before it; at first contact NO_MOVE, 0, NO_EVENT."""
    told: Float[Array, " O"]
    """Width 0, except for oracle references, which are told the others' types or goals."""
    state: "Simulator | None" = None
    """None, except for policies with ``needs_state``."""


class Simulator(NamedTuple):
    """What a view holds for policies with ``needs_state``: more than the rules let a player see."""

    game: State
    """The true state of this lane's game, which numbers players by absolute seat."""
    seat: Int[Array, ""]
    """Where I sit in it."""


class Act(NamedTuple):
    """One decision. ``record`` holds arrays for the stream: log_pi, value, belief and so on."""

    action: Int[Array, ""]
    memory: Memory
    record: dict[str, Array]


@runtime_checkable
class Policy(Protocol):
    """Anything that acts inside a jitted program: a rule, a network, a planner, a frozen run.

    Written for one seat of one lane and batched by ``vmap`` at the call. A policy may also have,
    each read by metrics before the moves of slot t:

    - ``log_probs(memory, view) -> Float[A]``: every rule has it, and its ``act`` samples from it
    - ``intent(memory, view) -> Int[]``: the goal it pursues, NO_EVENT when none
    - ``belief(memory, view) -> Float[M, G]``: over each other's goal, rows sum to one
    - ``types(memory, view) -> Float[M, Y]``: over each other's type
    - ``predict(memory, view) -> Float[M, A]``: log-probabilities of the others' moves
    - ``decode(memory, view) -> Float[M, Y, A]``: the same under each opponent type
    - ``foresee(memory, view) -> Float[M, C]``: logits of the cell of the board to which each other
      is on its way
    - ``hypotheses(memory, view) -> Float[Y, A]``: log-probabilities of this seat's moves under
      every rule of a known pool
    - ``intents(memory, view) -> Int[Y]``: the goal that each of them would pursue, NO_EVENT when
      none
    - ``member(memory) -> Int[]``: which of the policies of a mixture or bank this is
    - ``type_id(memory) -> Int[]``: its place among the rules of its game, for the whole match
    - ``mode(memory) -> Int[]``: which of its ways to play a switcher is in now
    - ``needs_state: bool``: its views hold the true simulator, which the rollout of games in JAX
      gives; what it earns is marked S wherever it is told
    """

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        """Called at every first slot; memory is None at first contact, when a match begins."""
        ...

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act: ...


@runtime_checkable
class HostPolicy(Protocol):
    """Anything that acts in ordinary Python: a foreign bot, a person.

    It may also have ``predict(view) -> Float[M, A]``: log-probabilities of the others' moves in
    the present slot, asked right after ``act`` with the same view.
    """

    def begin(self, seed: int, new_match: bool) -> None: ...

    def act(self, view: dict[str, np.ndarray]) -> int: ...
