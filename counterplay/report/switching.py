"""The section of a report on what happens after an other switches."""

from collections.abc import Mapping, Sequence
from typing import Any

from counterplay.report import diagrams
from counterplay.report.adapting import ends_told, without_band
from counterplay.report.blocks import Block, Section, Table, Text
from counterplay.report.contents import image
from counterplay.report.figures import Line
from counterplay.report.protocols import (
    NONE,
    Protocol,
    attempted,
    curve,
    is_number,
    number,
    parts_of,
)

WAYS = {
    "types": "the agent's leading type",
    "surprise": "surprise at the agent's predictions",
    "exact filter": "exact filter's leading type",
    "exact filter, surprise": "surprise at the exact filter's",
}


def after_switches(found: Sequence[Protocol], mark: str) -> Section | None:
    """Curves around the switch, delays, false alarms; None where nobody switched."""
    if not any(part.found.get("switch") for part in parts_of(found)):
        return None
    words = (
        "A detection delay is the number of slots from the switch to the first in which it was "
        "noticed, 1 where the first move told; where the next switch or the end came before, it is "
        "missed and counts as later than any other, so that a median may be never. A false alarm "
        "is one while nothing had changed since the last detection. Return has recovered when the "
        "mean of a window is back at its level before the switch."
    )
    blocks: list[Block] = [Text(words)]
    blocks += attempted("returns around the switch", lambda: around(found, mark))
    blocks += attempted("detection", lambda: detection(found))
    blocks += attempted("recovery", lambda: recovery(found))
    return Section("After a switch", tuple(blocks))


def around(found: Sequence[Protocol], mark: str) -> list[Block]:
    """A picture for every unit of time, of all protocols; its caption has the delays."""
    lines: dict[str, list[Line]] = {}
    captions: dict[str, list[str]] = {}
    for part in parts_of(found, drawn=True):
        switch = part.found.get("switch") or {}
        if switch.get("curve"):
            unit = switch["curve"]["unit"]
            line = curve(part.name, switch["curve"]["points"])
            lines.setdefault(unit, []).append(line)
            captions.setdefault(unit, []).append(f"{part.called}: {_delays_told(switch)}")
    blocks: list[Block] = []
    for unit, each in lines.items():
        one = unit.removesuffix("s")
        x, y = f"{unit} since the switch", f"{'return' if one == 'episode' else 'reward'} per {one}"
        draw = lambda theme, each=each, x=x, y=y: diagrams.curves(each, x, y, theme, marked=0.0)
        alt = f"Mean {y} around the switch. {' '.join(map(ends_told, each))}"
        caption = (
            f"Mean {y} around a switch of the other, at 0. A band is the 95% interval."
            f"{without_band(each)} {' '.join(captions[unit])}"
        )
        blocks.append(image(f"switch-{unit}{mark}.png", draw, alt, caption))
    return blocks


def _delays_told(switch: Mapping[str, Any]) -> str:
    """Delay and false alarms by the first way to notice that there is, and recovery."""
    words = []
    way = next((name for name in WAYS if switch.get(name)), None)
    if way:
        part = switch[way]
        words.append(
            f"noticed by {WAYS[way]}: median delay {median_told(part)} slots, "
            f"{number(part.get('false_alarms_per_1000'), 1)} false alarms in 1,000 quiet slots"
        )
    if back := switch.get("recovery"):
        words.append(f"recovered: median {median_told(back)} {back['unit']}")
    return "; ".join(words) + "." if words else "no delay is known."


def median_told(part: Mapping[str, Any]) -> str:
    """None among switches that there were stands for one that comes later than any."""
    if is_number(part.get("median")):
        return number(part["median"], 1)
    return "never" if part.get("switches") else NONE


def detection(found: Sequence[Protocol]) -> list[Block]:
    """A row for every way to notice a switch."""
    rows = []
    for part in parts_of(found):
        switch = part.found.get("switch") or {}
        for name, called in WAYS.items():
            if one := switch.get(name):
                numbers = (median_told(one), number(one["mean_of_detected"], 1))
                alarms = number(one["false_alarms_per_1000"], 2), number(one["quiet_slots"])
                told = (number(one["switches"]), *numbers, _percent(one["missed"]), *alarms)
                rows.append((part.called, called, *told))
    columns = ("run, protocol, play", "noticed by", "switches", "delay, median", "mean of noticed")
    columns += ("missed", "false alarms in 1,000", "quiet slots")
    caption = "Detection of switches: delays in slots."
    return [Table(caption, columns, tuple(rows))] if rows else []


def recovery(found: Sequence[Protocol]) -> list[Block]:
    """A row for every part in which a level before the switch is known."""
    rows = []
    for part in parts_of(found):
        if one := (part.found.get("switch") or {}).get("recovery"):
            medians = median_told(one), number(one["mean_of_detected"], 1)
            told = (number(one["switches"]), *medians, _percent(one["missed"]))
            ends = number(one["window"]), number(one["within"])
            rows.append((part.called, one["unit"], *told, *ends))
    columns = ("run, protocol, play", "unit", "switches", "recovered, median", "mean of recovered")
    columns += ("never", "window", "back means within")
    caption = "Recovery of the return after switches, in the unit of the row."
    return [Table(caption, columns, tuple(rows))] if rows else []


def _percent(value: Any) -> str:
    return f"{100 * value:.1f}%" if is_number(value) else NONE
