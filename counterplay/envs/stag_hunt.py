"""Stag hunt on a grid: a stag needs two hunters in the same step, a hare needs one.

Peysakhovich & Lerer (2018) describe the family; sizes, pay-offs and departures are stated here.
Players see the whole board unless ``view`` limits them. Prey does not move. Hunters who succeed
leave together with what they caught. The episode ends at ``horizon``, or when no player or no
prey is left; reaching the horizon is an end of the game (terminated), not an interruption.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board
from counterplay.envs.board import GONE, UNSEEN
from counterplay.envs.obstacles import check, check_layouts
from counterplay.types import NO_EVENT, Picture, TimeStep

UP, DOWN, LEFT, RIGHT, STAY, HUNT_STAG, HUNT_HARE = range(7)
CAUGHT_STAG, CAUGHT_HARE = range(2)
STAG_REWARD, HARE_REWARD = 10.0, 1.0

PRESETS: dict[str, dict[str, int]] = {
    "4x4": {},
    "6x6": {"size": 6, "horizon": 25},
    "8x8": {"size": 8, "horizon": 35},
    "two-stags": {"size": 6, "stags": 2, "horizon": 25},
}


class State(NamedTuple):
    """Cells count row by row from the upper left; GONE marks who or what has left."""

    players: Int[Array, " N"]
    stags: Int[Array, " S"]
    hares: Int[Array, " H"]
    obstacles: Int[Array, " k"]
    time: Int[Array, ""]


@dataclass(frozen=True)
class StagHunt:
    """Settings of a stag hunt. Presets: 4x4, 6x6, 8x8, two-stags."""

    players: int = 4
    """Players."""
    stags: int = 1
    """Stags, each worth 10 shared among its hunters."""
    hares: int = 4
    """Hares, each worth 1 shared among its hunters."""
    size: int = 4
    """Rows and columns, 2 to 15."""
    obstacles: int = 0
    """Cells nobody can enter; the rest of the board stays connected."""
    horizon: int = 15
    """Slots after which the game ends, 1 to 254."""
    view: int = 0
    """Manhattan distance each player sees, in cells; 0 sees the whole board."""

    num_actions = 7
    num_goals = 2
    obs_dtype = np.dtype(np.uint8)

    def __post_init__(self):
        board.check_sizes("stag_hunt", self.size, self.horizon)
        least = {"players": 2, "stags": 0, "hares": 0, "obstacles": 0, "view": 0}
        for name, few in least.items():
            if (found := getattr(self, name)) < few:
                raise ValueError(f"stag_hunt: {name} must be at least {few}, found {found}")
        check(self.size, self.obstacles)
        prey = self.stags + self.hares
        free = self.cells - self.obstacles
        if prey < 1 or prey > free:
            raise ValueError(
                f"stag_hunt: {prey} prey need a free cell each, found {max(free, 0)} free of "
                f"{self.cells} ({self.obstacles} obstacles): enlarge size or ask for fewer"
            )
        check_layouts(self.size, self.obstacles)

    @property
    def num_seats(self) -> int:
        return self.players

    @property
    def cells(self) -> int:
        return self.size * self.size

    @property
    def obs_shape(self) -> tuple[int]:
        return (self.players + self.stags + self.hares + self.obstacles + 1,)

    @property
    def public_legal(self) -> bool:
        """Who sees the whole board sees what everyone may do."""
        return self.view == 0

    @property
    def public_events(self) -> bool:
        return self.view == 0

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        obstacle_key, prey_key, player_key = jr.split(key, 3)
        blocked = self._obstacles(obstacle_key)
        # prey: distinct free cells; each kind numbered row by row, so an observation shows it
        order = jnp.where(blocked, 2.0, jr.uniform(prey_key, (self.cells,)))
        prey = jnp.argsort(order)[: self.stags + self.hares]
        free = jnp.argsort(blocked)  # stable: free cells first
        spot = jr.randint(player_key, (self.players,), 0, self.cells - self.obstacles)
        state = State(
            players=free[spot],
            stags=jnp.sort(prey[: self.stags]),
            hares=jnp.sort(prey[self.stags :]),
            obstacles=jnp.nonzero(blocked, size=self.obstacles)[0].astype(jnp.int32),
            time=jnp.int32(0),
        )
        quiet = jnp.zeros(self.players)
        unseen = jnp.ones((self.players, self.players), bool)
        return state, self._show(state, quiet, jnp.full(self.players, NO_EVENT), unseen)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing."""
        alive = state.players != GONE
        stag_hunters = self._hunters(state.players, state.stags, actions == HUNT_STAG)
        hare_hunters = self._hunters(state.players, state.hares, actions == HUNT_HARE)
        stag_count, hare_count = stag_hunters.sum(0), hare_hunters.sum(0)
        fallen_stag, fallen_hare = stag_count >= 2, hare_count >= 1
        stag_share = STAG_REWARD * fallen_stag / jnp.maximum(stag_count, 1)
        hare_share = HARE_REWARD * fallen_hare / jnp.maximum(hare_count, 1)
        reward = (
            jnp.where(stag_hunters, stag_share[None], 0.0).sum(1)
            + jnp.where(hare_hunters, hare_share[None], 0.0).sum(1)
        )  # fmt: skip
        got_stag = (stag_hunters & fallen_stag[None]).any(1)
        got_hare = (hare_hunters & fallen_hare[None]).any(1)
        event = jnp.where(got_stag, CAUGHT_STAG, jnp.where(got_hare, CAUGHT_HARE, NO_EVENT))
        moved = self._move(state, actions)
        after = State(
            players=jnp.where(alive & ~got_stag & ~got_hare, moved, GONE),
            stags=jnp.where(fallen_stag, GONE, state.stags),
            hares=jnp.where(fallen_hare, GONE, state.hares),
            obstacles=state.obstacles,
            time=state.time + 1,
        )
        return after, self._show(after, reward, event, self._sees(state.players, state.players))

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        """Planes: me, each other, stags, hares, obstacles, [N + 3, size, size] flat; then time."""
        counts = (1,) * self.players + (self.stags, self.hares, self.obstacles)
        return board.encode(obs, counts, self.size, self.horizon)

    def around(self, features: Float[Array, " F"]) -> Float[Array, "N R"]:
        """What lies around each player, me first, of an encoded observation; see ``board``."""
        planes = features[:-1].reshape(-1, self.cells)
        shown = planes if self.obstacles else planes[:-1]
        return board.around(shown, self.players, self.size)

    def render(self, state: State) -> Picture:
        from counterplay.envs.board_pictures import stag_hunt_picture

        return stag_hunt_picture(self, state)

    def _hunters(
        self, players: Int[Array, " N"], prey: Int[Array, " P"], hunting: Bool[Array, " N"]
    ) -> Bool[Array, "N P"]:
        return hunting[:, None] & (players[:, None] == prey[None]) & (players[:, None] != GONE)

    def _legal_steps(
        self, players: Int[Array, " N"], obstacles: Int[Array, " k"]
    ) -> Bool[Array, "N 4"]:
        """Which of up, down, left, right stay on the board and off the obstacles."""
        free = board.steps_inside(players, self.size)
        if self.obstacles:
            target = players[:, None] + jnp.array([-self.size, self.size, -1, 1])[None]
            free &= ~(target[:, :, None] == obstacles[None, None]).any(2)
        return free

    def _move(self, state: State, actions: Int[Array, " N"]) -> Int[Array, " N"]:
        steps = self._legal_steps(state.players, state.obstacles)
        return board.walk(state.players, actions, steps, self.size)

    def _sees(self, eyes: Int[Array, " N"], things: Int[Array, " X"]) -> Bool[Array, "N X"]:
        """Which things are near enough; who has left sees nothing where sight is limited."""
        if not self.view:
            return jnp.ones((eyes.shape[0], things.shape[0]), bool)
        rows = abs(eyes[:, None] // self.size - things[None] // self.size)
        cols = abs(eyes[:, None] % self.size - things[None] % self.size)
        return (rows + cols <= self.view) & (eyes != GONE)[:, None]

    def _show(
        self,
        state: State,
        reward: Float[Array, " N"],
        event: Int[Array, " N"],
        visible: Bool[Array, "N N"],
    ) -> TimeStep:
        players = state.players
        alive = players != GONE
        prey_left = (state.stags != GONE).any() | (state.hares != GONE).any()
        hunts = [(players[:, None] == prey[None]).any(1) for prey in (state.stags, state.hares)]
        steps = self._legal_steps(players, state.obstacles)
        legal = jnp.concatenate([steps, jnp.stack([alive, *hunts], axis=1)], axis=1)
        return TimeStep(
            obs=self._observe(state),
            legal=legal & alive[:, None],
            alive=alive,
            reward=reward,
            event=event,
            visible=visible,
            terminated=(state.time >= self.horizon) | ~alive.any() | ~prey_left,
            truncated=jnp.zeros((), bool),
        )

    def _observe(self, state: State) -> UInt8[Array, "N D"]:
        """Ego first: my cell, the others' in seat order, stags, hares, obstacles; time."""
        cells = jnp.concatenate([state.players, state.stags, state.hares, state.obstacles])
        seen = self._sees(state.players, cells) & (cells != GONE)[None]
        return board.observe(jnp.where(seen, cells[None], UNSEEN), state.time)

    def _obstacles(self, key: PRNGKeyArray) -> Bool[Array, " cells"]:
        from counterplay.envs.obstacles import grow

        return grow(key, self.size, self.obstacles)
