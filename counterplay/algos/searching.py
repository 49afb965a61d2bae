"""``mcts``: a frozen agent that searches before it moves, with what it believes and expects.

The agent stays as it was trained; its memory, belief and predictions are its own. Only the move is
another: that of a tree search whose prior and value are the agent's and in which the others move
as the agent expects them to.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.maths import chosen, masked_log_softmax, sample_action
from counterplay.names import unknown
from counterplay.planning import Functions
from counterplay.planning.simulator import Thought, place, simulator
from counterplay.planning.tree import HOW, search
from counterplay.types import Act, Env, Memory, View

PASSED_ON = ("predict", "belief", "types", "decode")
"""What the agent tells of the others, whoever chooses its moves."""


@dataclass(frozen=True)
class Mcts:
    """Settings of a tree search."""

    sims: int = 50
    """Simulations a decision; each takes one step of the model."""
    world: bool = False
    """Search in the true simulator, which is a privilege: results are marked S."""
    how: str = "gumbel"
    """How moves are tried: gumbel, muzero or puct."""
    depth: int = 0
    """Moves of mine that it looks ahead at most; 0 for no limit."""
    draws: int = 8
    """Draws of the others' moves at a node; 1 makes each branch a single guess."""
    temperature: float = 1.0
    """Weights of moves are taken to the power 1 / temperature."""
    exploration: float = 1.25
    """The c of muzero and puct."""
    reward_weight: float = 1.0
    """Weight of imagined rewards beside values."""
    gamma: float | None = None
    """Discount a step; by default that of the training."""

    def __post_init__(self):
        for name, least in (("sims", 1), ("draws", 1), ("depth", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"planner mcts: {name} must be at least {least}, found "
                                 f"{getattr(self, name)}")  # fmt: skip
        if self.how not in HOW:
            raise unknown("way of planner mcts to search", self.how, HOW)
        for name in ("temperature", "exploration"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"planner mcts: {name} must be positive, found "
                                 f"{getattr(self, name)}")  # fmt: skip
        if not 0 <= self.reward_weight < float("inf"):
            raise ValueError("planner mcts: reward_weight must be 0 or more, found "
                             f"{self.reward_weight}")  # fmt: skip
        if self.gamma is not None and not 0 <= self.gamma <= 1:
            raise ValueError(f"planner mcts: gamma must be 0 to 1, found {self.gamma}")

    def seated(self, agent: Any, env: Env, about: dict[str, Any]) -> "Searcher":
        """The policy; ValueError where the agent lacks what a search needs, or the game does."""
        name = about.get("algorithm", type(agent).__module__)
        if not can_think(agent):
            raise ValueError(
                f"planner mcts: a run of {name} cannot be searched with: a search wants a policy, "
                "a value and predictions of the others' moves, as goal_ppo trains them"
            )
        if not self.world and hasattr(agent, "root"):
            return InWorld(agent, env, self, about.get("config", {}).get("gamma", 0.99))
        if not self.world:
            raise ValueError(
                f"planner mcts: a run of {name} has no learned world model, so there is nothing to "
                "search in; world=true searches in the true simulator, and is marked S in results"
            )
        if hasattr(env, "open"):
            raise ValueError(
                f"planner mcts: {getattr(env, 'name', env)} is played outside JAX, and world=true "
                "wants the true simulator of a native game"
            )
        return Searcher(agent, env, self, about.get("config", {}).get("gamma", 0.99))


def can_think(agent: Any) -> bool:
    """Whether ``think`` can tell what an agent thinks."""
    told = getattr(type(agent), "predict", None)
    return callable(told) and callable(getattr(agent, "sight", None))


def think(agent: Any, key: PRNGKeyArray, memory: Memory, view: View) -> Thought:
    """Policy, value, expected moves and the next memory of an agent of ``informed``."""
    if hasattr(agent, "thought"):  # it says itself what it thinks
        return agent.thought(key, memory, view)
    sight = agent.sight(memory, view, key)
    logits, value, kept = agent.net.policy((view.obs, sight.told), memory[0])
    if hasattr(agent, "expects"):
        moves = agent.expects(sight, view.alive[1:])
    else:
        moves = jnp.where(view.alive[1:, None], jnp.exp(sight.record["predicted"]), 0.0)
    return Thought(masked_log_softmax(logits, view.legal), value, moves, (kept, sight.memory))


class Searcher(eqx.Module):
    """Plays as a search in the true simulator says; remembers and tells what the agent does."""

    agent: Any
    env: Any = eqx.field(static=True)
    settings: Mcts = eqx.field(static=True)
    trained_gamma: float = eqx.field(static=True)

    needs_state: ClassVar[bool] = True

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return self.agent.begin(key, memory)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        """``record`` has, beside the agent's, the plan, and how often the simulator was stepped."""
        own = self.agent.act(key, memory, view, greedy)
        search_key, move_key, look_key = jr.split(jr.fold_in(key, 2), 3)
        functions, root, belief, log_pi = self.begun(look_key, memory, view)
        settings = self.settings
        plan = search(
            *functions,
            root,
            belief,
            log_pi,
            view.legal,
            view.alive,
            search_key,
            simulations=settings.sims,
            gamma=self.trained_gamma if settings.gamma is None else settings.gamma,
            reward_weight=settings.reward_weight,
            depth=settings.depth or None,
            how=settings.how,
            temperature=settings.temperature,
            draws=settings.draws,
            exploration=settings.exploration,
        )
        possible = plan.weights > 0
        log_w = jnp.where(possible, jnp.log(jnp.where(possible, plan.weights, 1.0)), -jnp.inf)
        best = jnp.argmax(log_w).astype(jnp.int32)
        action = best if greedy else sample_action(move_key, log_w)
        record = {"log_pi": chosen(log_w, action), "q": plan.q, "weights": plan.weights}
        record |= {"simulator_calls": jnp.int32(settings.sims if self.needs_state else 0)}
        return Act(action, own.memory, own.record | record)

    def begun(
        self, key: PRNGKeyArray, memory: Memory, view: View
    ) -> tuple[Functions, Any, Any, Float[Array, " A"]]:
        """What is searched with, where the search begins, what is believed, and the prior there."""
        mind = partial(think, self.agent)
        root = place(key, mind, memory, view)
        return simulator(self.env, mind), root, (), root.thought.log_pi

    def __getattr__(self, name: str) -> Any:
        """What metrics may ask of the agent, if it can tell."""
        if name in PASSED_ON and "agent" in self.__dict__:
            return getattr(self.agent, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class InWorld(Searcher):
    """The same in the world that the agent has learnt; nothing is asked of the game."""

    needs_state: ClassVar[bool] = False

    def begun(
        self, key: PRNGKeyArray, memory: Memory, view: View
    ) -> tuple[Functions, Any, Any, Float[Array, " A"]]:
        slot = self.agent.see(key, memory, view)
        return self.agent.functions(eager=True), *self.agent.root(slot, view), slot.log_pi
