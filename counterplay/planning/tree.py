"""Monte Carlo tree search over my own moves, the others' drawn from a model of them; on _mctx.

Only my moves branch. At a node the others' joint move is drawn ``draws`` times from their model
under the belief held there, and every move of mine is tried against the same draws: the best of
several moves is then one that is good on average, and not one that was lucky. A move and a draw
together lead to the next node, with a belief that has seen the draw. With one draw a node has one
outcome a move, as in MuZero (Schrittwieser et al., 2020); with several, draws are the chance nodes
of Antonoglou et al. (2022), all as likely. Selection is Gumbel's (Danihelka et al., 2022),
MuZero's, or PUCT on values as they are (Silver et al., 2017).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import mctx
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.names import unknown
from counterplay.planning import Functions, Plan
from counterplay.planning.draws import as_joint, drawn_of
from counterplay.types import NO_MOVE
from counterplay.views import select

_mctx: Any = mctx  # fields of chex dataclasses are hidden from type checkers
HOW = ("gumbel", "muzero", "puct")
"""The ways to select moves."""
LOW = float(np.finfo(np.float32).min)
"""In place of -inf among logits, of which a softmax would make NaN where nothing else is."""
VISITS, SCALE = 50.0, 0.1
"""c_visit and c_scale of Danihelka et al. (2022), as mctx has them for values in 0 to 1."""


class Node(NamedTuple):
    """What the tree holds of one node beside its statistics."""

    e: Any
    belief: Any
    legal: Bool[Array, " A"]
    """My legal moves; all where I have left, where none of them matters."""
    there: Bool[Array, ""]
    """I play on from here."""
    moves: Int[Array, "S M"]
    """The draws of the others' moves."""
    share: Int[Array, " S"]
    """How many draws are like this one, at the first of them; 0 at the others."""
    left: Int[Array, ""]
    """Moves of mine that may still be looked ahead."""
    move: Int[Array, ""]
    """Mine, where the others have yet to move."""
    chance: Bool[Array, ""]
    """I have moved and the others have not."""


class Search(NamedTuple):
    """Settings of a search, all static but the first."""

    functions: Functions
    simulations: int
    gamma: float
    reward_weight: float
    depth: int | None
    how: str
    draws: int
    exploration: float


def search(
    step: Callable,
    actions: Callable,
    update: Callable,
    value: Callable,
    prior_of: Callable,
    e: Any,
    belief: Any,
    prior: Float[Array, " A"],
    legal: Bool[Array, " A"],
    alive: Bool[Array, " N"],
    key: PRNGKeyArray,
    *,
    simulations: int,
    gamma: float,
    reward_weight: float = 1.0,
    depth: int | None = None,
    how: str = "gumbel",
    temperature: float = 1.0,
    draws: int = 8,
    exploration: float = 1.25,
) -> Plan:
    """Searches from one decision; batch by ``vmap``. The functions are those of ``Functions``.

    ``prior`` are my log-probabilities at the root, ``alive`` tells who is there, me first.
    ``step`` is called once a simulation. ``depth`` bounds how many of my moves lie ahead.
    Weights are the improved policy of Gumbel's search (section 4 of Danihelka et al.), else the
    shares of visits, to the power 1 / ``temperature``. Q is the mean over what was searched; a
    move that never was has the value of the root. There is no noise at the root but Gumbel's.
    ``exploration`` is the c of PUCT, there and in MuZero's. ValueError for settings that mean
    nothing.
    """
    functions = Functions(step, actions, update, value, prior_of)
    how_to = Search(functions, simulations, gamma, reward_weight, depth, how, draws, exploration)
    _check(how_to, temperature)
    draw_key = jr.fold_in(key, 1)
    there, ahead = alive[0] & legal.any(), jnp.int32(simulations if depth is None else depth)
    root = _node(how_to, draw_key, e, belief, legal, there, ahead, alive[1:])
    first = _mctx.RootFnOutput(
        prior_logits=_wide(how_to, root.legal, jnp.where(there, prior, 0.0)),
        value=jnp.where(there, value(e, belief), 0.0),
        embedding=root,
    )
    tree, weights = _searched(how_to, jax.tree.map(lambda x: x[None], first), key)
    visited, q = tree.children_visits[0, 0, : len(legal)] > 0, tree.qvalues(jnp.zeros(1, int))[0]
    q = jnp.where(visited & legal, q[: len(legal)], tree.node_values[0, 0])
    possible = legal & (weights[0, : len(legal)] > 0)
    log_w = jnp.where(possible, jnp.log(jnp.where(possible, weights[0, : len(legal)], 1.0)), LOW)
    sharp = jax.nn.softmax((log_w - log_w.max()) / temperature)
    return Plan(q, jnp.where(there & legal, sharp, 0.0))


def _check(how_to: Search, temperature: float) -> None:
    if how_to.how not in HOW:
        raise unknown("way to search", how_to.how, HOW)
    for name, least in (("simulations", 1), ("draws", 1)):
        if getattr(how_to, name) < least:
            raise ValueError(f"search: {name} must be at least {least}, found "
                             f"{getattr(how_to, name)}")  # fmt: skip
    if how_to.depth is not None and how_to.depth < 1:
        raise ValueError(f"search: depth must be at least 1 of my moves, found {how_to.depth}")
    if not 0 <= how_to.gamma <= 1:
        raise ValueError(f"search: gamma must be 0 to 1, found {how_to.gamma}")
    for name, found in (("temperature", temperature), ("exploration", how_to.exploration)):
        if not 0 < found < float("inf"):
            raise ValueError(f"search: {name} must be positive, found {found}")


def _searched(how_to: Search, root: Any, key: PRNGKeyArray) -> tuple[Any, Float[Array, "B W"]]:
    """The tree and the weights of the root's moves, for a batch of roots."""
    key, gumbel_key = jr.split(key)
    logits = root.prior_logits
    invalid = (logits <= LOW).astype(jnp.float32)
    if how_to.how == "gumbel":
        first = partial(
            _mctx.gumbel_muzero_root_action_selection,
            num_simulations=how_to.simulations,
            max_num_considered_actions=root.embedding.legal.shape[-1],
            qtransform=completed,
        )
        within = partial(_mctx.gumbel_muzero_interior_action_selection, qtransform=completed)
        extra = _mctx.GumbelMuZeroExtraData(root_gumbel=jr.gumbel(gumbel_key, logits.shape))
    else:
        ways = {"muzero": _mctx.qtransform_by_parent_and_siblings, "puct": _as_they_are}
        score = partial(_legal_only, ways[how_to.how])
        within = partial(
            _mctx.muzero_action_selection, pb_c_init=how_to.exploration, qtransform=score
        )
        first, extra = partial(within, depth=0), None
    if how_to.draws > 1:
        within = partial(_of_either, how_to.draws, within)
    tree = _mctx.search(
        params=(),
        rng_key=key,
        root=root,
        recurrent_fn=lambda _, key, *at: jax.vmap(partial(_expand, how_to))(
            jr.split(key, len(logits)), *at
        ),
        root_action_selection_fn=first,
        interior_action_selection_fn=within,
        num_simulations=how_to.simulations,
        invalid_actions=invalid,
        extra_data=extra,
    )
    if how_to.how == "gumbel":
        return tree, jax.nn.softmax(logits + jax.vmap(lambda t: completed(t, 0))(tree))
    return tree, tree.summary().visit_probs


def _node(how_to: Search, key, e, belief, legal, there, left, others: Bool[Array, " M"]) -> Node:
    """A node where I am to move, with the draws of the others' moves."""
    joint = as_joint(how_to.functions.actions(e, belief))
    joint = joint._replace(chances=jnp.where(others[None, :, None], joint.chances, 0.0))
    moves, number = drawn_of(key, joint, how_to.draws), jnp.arange(how_to.draws)
    like = (moves[:, None] == moves[None]).all(-1)
    share = jnp.where(jnp.argmax(like, 1) == number, like.sum(1), 0)
    fields = legal | ~there, there, moves, share, left
    return Node(e, belief, *fields, move=jnp.int32(NO_MOVE), chance=jnp.bool_(False))


def _expand(how_to: Search, key: PRNGKeyArray, action: Int[Array, ""], node: Node) -> tuple:
    """What mctx asks of a model: reward, discount, prior and value, and the node itself."""
    f, several = how_to.functions, how_to.draws > 1
    step_key, draw_key = jr.split(key)
    mine = jnp.where(node.chance, node.move, action)
    others = node.moves[jnp.where(node.chance, action, 0)]
    arrival, belief = f.step(step_key, node.e, mine, others), f.update(node.belief, node.e, others)
    # where I have left before nothing follows, and a fault of the model there changes nothing
    there = node.there & (arrival.alive > 0) & arrival.legal.any()
    value = jnp.where(there, f.value(arrival.e, belief), 0.0)
    reward = jnp.where(node.there, how_to.reward_weight * arrival.reward, 0.0)
    discount = jnp.where(there, how_to.gamma * arrival.alive, 0.0)
    whole, last = reward + discount * value, node.left <= 1
    # where it ends to look ahead the value is earned at once, and nothing follows
    reward, discount = select(last, (whole, jnp.zeros(())), (reward, discount))
    fields = arrival.legal, there & ~last, node.left - 1, arrival.others
    after = _node(how_to, draw_key, arrival.e, belief, *fields)
    prior = jnp.where(after.there, f.prior_of(arrival.e, belief), 0.0)
    made = reward, discount, _wide(how_to, after.legal, prior), jnp.where(last, 0.0, value)
    if several:  # my move alone earns nothing yet, and is judged by the first of the draws
        zero = jnp.zeros(())
        waits = zero, zero + 1.0, jnp.zeros_like(made[2]), whole
        chosen = node._replace(move=action, chance=jnp.bool_(True))
        # where all draws are alike there is nothing to wait for
        comes = node.chance | (node.share[0] == how_to.draws)
        made, after = select(comes, (made, after), (waits, chosen))
    names = ("reward", "discount", "prior_logits", "value")
    return _mctx.RecurrentFnOutput(**dict(zip(names, made, strict=True))), after


def _wide(how_to: Search, legal: Bool[Array, " A"], logits: Float[Array, " A"]) -> Array:
    """Logits without illegal moves, as wide as a node has children."""
    more = max(how_to.draws - len(legal), 0) if how_to.draws > 1 else 0
    logits = jnp.maximum(logits - jnp.where(legal, logits, LOW).max(), LOW / 2)
    return jnp.pad(jnp.where(legal, logits, LOW), (0, more), constant_values=LOW)


def _of_either(draws: int, of_mine: Callable, key, tree, node, depth) -> Int[Array, ""]:
    """Which child to visit: that of a move of mine, or the draw that has had least of its share.

    Draws that are alike share a child, so where the others leave no doubt there is no more than
    one; visits go by share as in Antonoglou et al. (2022).
    """
    # the first draw has been looked at when my move was made
    visits = tree.children_visits[node][:draws] + (jnp.arange(draws) == 0)
    which = jnp.argmax(tree.embeddings.share[node] / (visits + 1)).astype(jnp.int32)
    return jnp.where(tree.embeddings.chance[node], which, of_mine(key, tree, node, depth))


def _legal(tree: Any, node: Any) -> Bool[Array, " W"]:
    return tree.children_prior_logits[node] > LOW


def _legal_only(qtransform: Callable, tree: Any, node: Any) -> Float[Array, " W"]:
    """-inf for what is illegal, so that it is never the best."""
    return jnp.where(_legal(tree, node), qtransform(tree, node), -jnp.inf)


def _as_they_are(tree: Any, node: Any) -> Float[Array, " W"]:
    """Mean returns; of a move that was not tried, that of the node."""
    tried = tree.children_visits[node] > 0
    return jnp.where(tried, tree.qvalues(node), tree.node_values[node])


def completed(tree: Any, node: Any) -> Float[Array, " W"]:
    """sigma(completed Q) of Danihelka et al. (2022), section 4 and appendix D, scaled to 0 to 1.

    As in mctx, but over legal moves alone: there what is illegal, completed with the value of the
    node, may be the least or the largest, and so change the scale.
    """
    q, visits, legal = tree.qvalues(node), tree.children_visits[node], _legal(tree, node)
    prior = jax.nn.softmax(tree.children_prior_logits[node])
    tried, total = visits > 0, visits.sum()
    share = jnp.where(tried, jnp.maximum(prior, np.finfo(np.float32).tiny), 0.0)
    mean = (share * q).sum() / jnp.where(total > 0, share.sum(), 1.0)
    full = jnp.where(tried, q, (tree.raw_values[node] + total * mean) / (total + 1))
    least = jnp.where(legal, full, jnp.inf).min()
    most = jnp.where(legal, full, -jnp.inf).max()
    scaled = (full - least) / jnp.maximum(most - least, 1e-8)
    return jnp.where(legal, (VISITS + visits.max()) * SCALE * scaled, 0.0)
