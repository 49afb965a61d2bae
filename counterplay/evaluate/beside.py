"""Exact inference beside a policy where not all that others do is seen: from the policy's own seat.

Where all moves are seen the known rules watch from the others' seats instead; see ``watching``.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.evaluate.bayes import Mind
from counterplay.evaluate.scenarios import Scenario
from counterplay.opponents.rule import Mixture
from counterplay.seats import TOLD, Kind, Roster
from counterplay.types import Act, Env, Memory, View

LEAST = 1e-30
"""Less than this no move's chance is: what float32 has lost was not impossible."""


class Beside(eqx.Module):
    """Plays a policy as it is, while an exact inference takes in the same views.

    Moves, keys and records are the policy's own. Memory is (the policy's, the inference's).
    """

    policy: Any
    mind: Any

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        own, seen = (None, None) if memory is None else memory
        return self.policy.begin(key, own), self.mind.begin(seen)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        act = self.policy.act(key, memory[0], view, greedy)
        return act._replace(memory=(act.memory, self.mind.look(memory[1], view)))

    def exact_types(self, memory: Memory, view: View) -> Float[Array, "M Y"]:
        """The posterior over each other's rule."""
        return self.mind.types(self.mind.look(memory[1], view))

    def exact_predict(self, memory: Memory, view: View) -> Float[Array, "M A"]:
        """Log-probabilities of the others' moves in this slot, under that posterior."""
        moves = self.mind.moves(self.mind.look(memory[1], view), view)
        return jnp.log(jnp.maximum(moves, LEAST))

    def __getattr__(self, name: str) -> Any:
        """What metrics may ask of the policy, if it can tell."""
        if name in (*TOLD, "member") and "policy" in self.__dict__:
            told = getattr(self.policy, name)
            return lambda memory, *seen: told(memory[0], *seen)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def informed(
    env: Env,
    scenario: Scenario,
    roster: Roster,
    seat: int,
    rules: Mixture | None,
    drift: float = 0.0,
) -> tuple[Roster, Mixture | None]:
    """Who is to infer over these rules: the game's own inference, which the roster then has beside
    whoever may sit at this seat, or else the rules themselves, which are to watch from the others'.

    The game's own expects changes by ``drift``, the chance between two slots; of the rules who
    reads them does.
    """
    if rules is None or scenario.reader == Scenario.reader:
        return roster, rules
    mind = mind_of(env, scenario, seat, rules, drift)
    return roster if mind is None else accompanied(roster, mind, seat), None


def accompanied(roster: Roster, mind: Mind, seat: int) -> Roster:
    """The roster with the inference beside every policy that may sit at a seat."""
    here = {table[seat].kind for table in roster.tables}

    def beside(kind: Kind) -> Kind:
        spread = lambda x: jnp.broadcast_to(x, (kind.members, *x.shape))
        return replace(kind, policy=Beside(kind.policy, jax.tree.map(spread, mind)))

    kinds = (beside(k) if i in here else k for i, k in enumerate(roster.kinds))
    return replace(roster, kinds=tuple(kinds))


def mind_of(
    env: Any, scenario: Scenario, seat: int, rules: Mixture, drift: float = 0.0
) -> Mind | None:
    """The game's inference from a seat over others who are each one of the rules, until they
    change, as between two slots they do by ``drift``.

    None where it has none of its own, and for a seat of which no rule is known to sit opposite.
    """
    game = scenario.reader.partition(":")[2]
    if game == "pursuit":
        from counterplay.envs.pursuit import PURSUER
        from counterplay.evaluate.bayes_pursuit import pursuit_mind

        return pursuit_mind(env, rules.rules, drift) if seat == PURSUER else None
    if game == "scissors":
        from counterplay.evaluate.bayes_scissors import scissors_mind

        return scissors_mind(env, rules.rules, drift)
    return None
