"""JaxMARL's games as pictures: particles and units as discs, kitchens and coins on boards.

Its own drawings need a window, a whole episode at once or an old Matplotlib; these need one state.
A game that is not known here is drawn as what its players see.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from counterplay.envs import jaxmarl, jaxmarl_games
from counterplay.envs.glyphs import FAINT, INK, SEATS, Number, Pen, draw_player, draw_time
from counterplay.envs.observed import observed_picture
from counterplay.types import Picture

MARGIN, BOARD = 24, 480
GROUND, LINE = "#f1ecdf", "#d9d2c0"
KINDS = (
    "",
    "",
    "#b9ad96",
    "#e8c34a",
    "#cf9f1d",
    "#ffffff",
    "#c9d3d8",
    "#7fb069",
    "#3a3f45",
    "#b5651d",
)
"""Colours of a kitchen's cells by its own numbers: 2 counter, 3 onion, 4 pile of onions, 5 plate,
6 pile of plates, 7 serving, 8 pot, 9 dish."""
LETTERS = ("?", ".", "#", "o", "O", "p", "P", "S", "U", "d")
COINS = {3: "#d98f2b", 4: "#5aa9a3", 5: "#b9ad96", 6: "#f4d35e"}


def picture(env: "jaxmarl.JaxMarl", state: "jaxmarl.State") -> Picture:
    """One state: the board, who is there, and the clock."""
    state = jax.device_get(state)
    draw = next(
        (draw for kind, draw in PAINTERS.items() if jaxmarl_games.is_a(env.game, kind)), None
    )
    if draw is None:
        rows = _seen(env, state)
        return observed_picture(env.name, rows, state.alive, int(state.time), env.horizon)
    pen = Pen(BOARD + 2 * MARGIN, BOARD + 2 * MARGIN + 40)
    pen.box(MARGIN, MARGIN, BOARD, BOARD, GROUND, 8)
    words = draw(env, state, pen)
    draw_time(pen, MARGIN, MARGIN + BOARD + 18, BOARD, int(state.time), env.horizon, "move")
    here = " ".join(str(i) for i in np.flatnonzero(state.alive)) or "-"
    clock = f"{env.name}: move {int(state.time)} of {env.horizon}"
    return Picture(pen.pixels(), "\n".join([clock, *words, f"present: {here}"]))


def _seen(env: "jaxmarl.JaxMarl", state: "jaxmarl.State") -> list[Any]:
    """What everyone sees; nothing where a state alone does not tell, as in hanabi."""
    try:
        seen = jax.device_get(env.game.get_obs(state.game))
    except TypeError:  # it wants the state before and the move as well
        return [np.zeros(0)] * env.num_seats
    sizes = zip(env.sizes.agents, env.sizes.widths, strict=True)
    return [jaxmarl_games.flat(seen[agent], env.obs_dtype, width) for agent, width in sizes]


def _particles(env: Any, state: Any, pen: Pen) -> list[str]:
    """Players with their numbers, landmarks in grey; the world from -1.4 to 1.4."""
    places, n = np.asarray(state.game.p_pos), env.num_seats
    wide = max(1.4, float(np.abs(places).max()) + 0.1)
    scale = BOARD / (2 * wide)
    words = []
    for i, (x, y) in reversed(list(enumerate(places.tolist()))):
        across, down = MARGIN + (x + wide) * scale, MARGIN + (wide - y) * scale
        radius = float(env.game.rad[i]) * scale
        if i < n:
            draw_player(pen, across, down, max(radius, 9), i)
        else:
            pen.oval(across, down, radius, radius, FAINT)
        words.append(f"{i if i < n else 'landmark'} at {x:.2f}, {y:.2f}")
    return words[::-1]


def _units(env: Any, state: Any, pen: Pen) -> list[str]:
    """The two sides in two colours, health below each; those of a scripted side have no number."""
    game = getattr(state.game, "state", state.game)
    scale = BOARD / max(env.game.map_width, env.game.map_height)
    most = np.asarray(env.game.unit_type_health)[np.asarray(game.unit_types)]
    words = []
    for i, (x, y) in enumerate(np.asarray(game.unit_positions).tolist()):
        if not game.unit_alive[i]:
            continue
        across, down = MARGIN + x * scale, MARGIN + BOARD - y * scale
        side = int(game.unit_teams[i])
        radius = max(8, float(env.game.unit_type_radiuses[game.unit_types[i]]) * scale)
        pen.oval(across, down, radius * 1.25, radius * 1.25, SEATS[side])
        if i < env.num_seats:
            draw_player(pen, across, down, radius, i)
        share = float(game.unit_health[i] / most[i])
        pen.box(across - 12, down + radius * 1.4, 24, 4, LINE)
        pen.box(across - 12, down + radius * 1.4, max(24 * share, 1), 4, "#5b9a4a")
        words.append(f"{i} of side {side} at {x:.1f}, {y:.1f}, health {share:.0%}")
    return words


def _kitchen(env: Any, state: Any, pen: Pen) -> list[str]:
    """Counters, piles, pots and who holds what; a pot says how long it still cooks."""
    game, high, wide = state.game, env.game.height, env.game.width
    pad = (game.maze_map.shape[0] - high) // 2
    cells = np.asarray(game.maze_map)[pad : pad + high, pad : pad + wide]
    held = {(int(y), int(x)): i for i, (x, y) in enumerate(game.agent_pos.tolist())}
    cell, words = BOARD / max(high, wide), []
    for row in range(high):
        line = ""
        for col in range(wide):
            kind, x, y = int(cells[row, col, 0]), MARGIN + col * cell, MARGIN + row * cell
            seat = held.get((row, col))
            mark = LETTERS[kind] if seat is None and kind < len(LETTERS) else str(seat)
            if seat is not None:
                _cook(pen, game, seat, x + cell / 2, y + cell / 2, cell)
            elif kind < len(KINDS) and KINDS[kind]:
                pen.box(x + 1, y + 1, cell - 2, cell - 2, KINDS[2], 4)
                if kind > 2:
                    pen.oval(x + cell / 2, y + cell / 2, cell * 0.32, cell * 0.32, KINDS[kind])
                if kind == 8:
                    pen.text(
                        x + cell / 2,
                        y + cell / 2,
                        _pot(int(cells[row, col, 2])),
                        cell * 0.22,
                        "#ffffff",
                    )
            line += mark
        words.append(line)
    return words


def _cook(pen: Pen, game: Any, seat: int, x: Number, y: Number, cell: Number) -> None:
    draw_player(pen, x, y, cell * 0.3, seat)
    dx, dy = np.asarray(game.agent_dir[seat]).tolist()
    holds = int(game.agent_inv[seat])
    colour = KINDS[holds] if holds < len(KINDS) and KINDS[holds] else INK
    pen.oval(x + dx * cell * 0.34, y + dy * cell * 0.34, cell * 0.1, cell * 0.1, colour)


def _pot(status: int) -> str:
    """JaxMARL counts 23 for an empty pot down to 20 for a full one, then to 0 for ready."""
    return f"{23 - status}/3" if status >= 20 else "ready" if status == 0 else f"{status}"


def _coins(env: Any, state: Any, pen: Pen) -> list[str]:
    """Three rows of three: two players and their coins, rings in the colour of whose they are."""
    game, cell = state.game, BOARD / 3
    spot = lambda place: (
        MARGIN + (int(place[1]) + 0.5) * cell,
        MARGIN + (2.5 - int(place[0])) * cell,
    )
    for i in (1, 2):
        pen.box(MARGIN + i * cell - 1, MARGIN, 2, BOARD, LINE)
        pen.box(MARGIN, MARGIN + i * cell - 1, BOARD, 2, LINE)
    for seat, place in enumerate((game.red_coin_pos, game.blue_coin_pos)):
        x, y = spot(place)
        pen.oval(x + cell * 0.22, y + (seat - 0.5) * cell * 0.3, 18, 18, SEATS[seat])
        pen.oval(x + cell * 0.22, y + (seat - 0.5) * cell * 0.3, 11, 11, "#f4d35e")
    for seat, place in enumerate((game.red_pos, game.blue_pos)):
        x, y = spot(place)
        draw_player(pen, x - cell * 0.2, y + (seat - 0.5) * cell * 0.36, 26, seat)
    at = lambda place: ", ".join(str(int(p)) for p in place)
    return [f"{seat} at {at(place)}, its coin at {at(coin)}" for seat, place, coin in (
        (0, game.red_pos, game.red_coin_pos), (1, game.blue_pos, game.blue_coin_pos))]  # fmt: skip


def _matrix_on_a_grid(env: Any, state: Any, pen: Pen) -> list[str]:
    """Players, walls and coins of both kinds, and what each has collected."""
    grid = np.asarray(state.game.grid)
    cell, words = BOARD / max(grid.shape), []
    for row, line in enumerate(grid.T.tolist()):  # its first axis runs across
        for col, kind in enumerate(line):
            x, y = MARGIN + (col + 0.5) * cell, MARGIN + (row + 0.5) * cell
            if kind in (1, 2):
                draw_player(pen, x, y, cell * 0.4, kind - 1)
            elif kind in COINS:
                pen.oval(x, y, cell * 0.28, cell * 0.28, COINS[kind])
        words.append("".join(".01ab#*"[kind] for kind in line))
    for seat, bag in enumerate((state.game.red_inventory, state.game.blue_inventory)):
        words.append(f"{seat} has {', '.join(f'{float(x):g}' for x in bag)}")
    return words


PAINTERS: dict[str, Callable[[Any, Any, Pen], Sequence[str]]] = {
    jaxmarl_games.PARTICLES: _particles,
    jaxmarl_games.SCENARIO: _units,
    jaxmarl_games.SCRIPTED: _units,
    "jaxmarl.environments.overcooked.overcooked.Overcooked": _kitchen,
    "jaxmarl.environments.coin_game.coin_game.CoinGame": _coins,
    "jaxmarl.environments.storm.storm_2p.InTheGrid_2p": _matrix_on_a_grid,
}
"""Kind of game -> what draws it and returns it in words."""
