"""Players of matrix games that OpenSpiel works out beforehand: ``openspiel:cfr`` and ``:mcts``.

OpenSpiel (Lanctot et al., 2019) is given one round, written as a game of turns, and what it finds
is played in every round as a rule whose move is drawn anew: nothing that happens changes it, and
OpenSpiel is not asked while the game is played. Listing the names loads neither it nor JAX.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from counterplay.names import read_settings, unknown
from counterplay.opponents.roshambo import check_installed

if TYPE_CHECKING:
    import counterplay.envs.matrix
    import counterplay.opponents.rule

SEARCHES = 3000
"""By which the tree search's chances are counted."""
MOST = 1_000_000
"""Iterations or simulations."""
EXPLORATION = 2.0
"""Of the tree search, the c of UCT; as OpenSpiel's own example has it."""

Chances = tuple[float, ...]
"""Of each move in turn."""


def cfr(env: "counterplay.envs.matrix.Matrix", seat: int, iterations: int) -> Chances:
    """The average strategy of a seat after so many steps of counterfactual regret minimisation.

    Zinkevich et al. (2007). In a zero-sum game of two it comes near an equilibrium. Elsewhere
    nobody regrets in the end what both have played in all those steps, which need be no equilibrium
    of the two averages: in ``matrix:chicken`` it is the mixed one, in ``matrix:stag`` both hunt
    hare. OpenSpiel begins with even chances.
    """
    import pyspiel

    game = _one_round(env, row=0)
    solver = pyspiel.CFRSolver(game)
    for _ in range(iterations):
        solver.evaluate_and_update_policy()
    state = game.new_initial_state()
    for _ in range(seat):
        state.apply_action(0)  # whatever it was: who moves next does not see it
    found = solver.average_policy().action_probabilities(state)
    return tuple(found[move] for move in range(env.num_actions))


def mcts(env: "counterplay.envs.matrix.Matrix", seat: int, sims: int) -> Chances:
    """How often each move is chosen by tree searches of so many simulations and random rollouts.

    UCT, Kocsis & Szepesvari (2006). OpenSpiel's search knows no moves at once: it takes the seat to
    move first and the other to see the move and answer it as is best for itself. So it is the
    choice of somebody who commits himself: it defects in ``matrix:pd``, goes straight in
    ``matrix:chicken``, hunts stag in ``matrix:stag``, and where every move has an answer that is as
    bad, as in ``matrix:rps``, draws among them.
    """
    import pyspiel

    game, found = _one_round(env, row=seat), Counter()
    for seed in range(SEARCHES):
        rollouts = pyspiel.RandomRolloutEvaluator(1, seed)
        bot = pyspiel.MCTSBot(game, rollouts, EXPLORATION, sims, 100, True, seed, False)
        found[bot.step(game.new_initial_state())] += 1
    return tuple(found[move] / SEARCHES for move in range(env.num_actions))


class Solver(NamedTuple):
    """What works out the chances of a seat, and its settings with their defaults."""

    solve: Callable[..., Chances]
    settings: Mapping[str, int]


SOLVERS = {"cfr": Solver(cfr, {"iterations": 1000}), "mcts": Solver(mcts, {"sims": 100})}


def make(
    env: "counterplay.envs.matrix.Matrix", rest: str, seat: int
) -> "counterplay.opponents.rule.Rule":
    """The player that ``cfr:iterations=1000`` or the like names, for one seat of this game."""
    from counterplay.opponents.general import Fixed
    from counterplay.opponents.rule import Rule

    name, settings = _read(rest)
    check_installed(f"openspiel:{name}")
    return Rule(Fixed(SOLVERS[name].solve(env, seat, **settings)))


def canonical(rest: str) -> str:
    """The same for every way to write one player, with all its settings."""
    name, settings = _read(rest)
    return f"{name}:" + ",".join(f"{k}={x}" for k, x in sorted(settings.items()))


def _read(rest: str) -> tuple[str, dict[str, Any]]:
    """Name and settings; ValueError for what is none."""
    name, _, given = (part.strip() for part in rest.partition(":"))
    if name not in SOLVERS:
        raise unknown("player of OpenSpiel", name, SOLVERS)
    usual, owner = SOLVERS[name].settings, f"openspiel:{name}"
    found = read_settings(given.split(",") if given else (), dict.fromkeys(usual, int), owner)
    for setting, value in found.items():
        if not 1 <= int(value) <= MOST:
            raise ValueError(f"{owner}: {setting} must be 1 to {MOST:,}, found {value}")
    return name, {**usual, **found}


def _one_round(env: "counterplay.envs.matrix.Matrix", row: int) -> Any:
    """One round as OpenSpiel has it, the seat ``row`` first to move and unseen by the other."""
    import pyspiel

    tables = [env.payoffs, env.other_payoffs or env.payoffs]
    mine, theirs = tables[row], tables[1 - row]
    across = [list(column) for column in zip(*theirs, strict=True)]
    return pyspiel.convert_to_turn_based(pyspiel.create_matrix_game([*map(list, mine)], across))
