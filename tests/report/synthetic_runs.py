"""Run folders as a training would leave them, with numbers known beforehand."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "img", "source", "br"}


def make_run(folder: Path, rows: list[dict[str, Any]], seeds: int = 2, **more: Any) -> Path:
    """An ordinary run; ``more`` are keys of config.json, ``config`` among them."""
    folder.mkdir(parents=True)
    settings = {"seed": 0, "seeds": seeds, "steps": 30, "gamma": 0.99, "widths": [8, 4]}
    row: dict[str, Any] = {
        "run_id": "0",
        "algorithm": "ppo",
        "env": "matrix:pd,horizon=4",
        "learners": [{"name": "self", "members": 1, "seats": [0, 1]}],
        "config": settings | more.pop("config", {}),
    }
    (folder / "config.json").write_text(json.dumps(row | more))
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def iteration(steps: int, **metrics: Any) -> dict[str, Any]:
    return {"steps": steps, "seconds": steps / 10} | metrics


ROWS = [
    iteration(10, **{"return": [1.0, 3.0]}, length=[4, 4], entropy=[0.6, 0.5]),
    iteration(20, **{"return": [None, 5.0]}, length=[4, 4], entropy=[0.5, 0.4]),
    iteration(30, **{"return": [2.0, 6.0]}, length=[4, 4], entropy=[0.4, 0.3]),
]


class Strict(HTMLParser):
    """A page as tags, attributes and text; complains where tags are not balanced."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def references(self) -> list[str]:
        """Everything that a browser would go and get."""
        names = ("src", "href", "srcset", "poster", "data", "action", "background")
        return [a[name] for _, a in self.tags for name in names if name in a]


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Tables of a Markdown text, as rows of cells, escapes undone."""
    found: list[list[list[str]]] = []
    inside = False
    for line in markdown.splitlines():
        if line.startswith("| ") and line.endswith(" |"):
            if not inside:
                found.append([])
            found[-1].append([_plain(cell) for cell in _split(line[1:-1])])
        inside = line.startswith("|")
    return found


def _split(line: str) -> list[str]:
    cells, cell, escaped = [], "", False
    for letter in line:
        if letter == "|" and not escaped:
            cells.append(cell)
            cell = ""
        else:
            cell += letter
        escaped = letter == "\\" and not escaped
    return [*cells, cell]


def _plain(cell: str) -> str:
    out, escaped = "", False
    for letter in cell.strip():
        escaped = letter == "\\" and not escaped
        out += "" if escaped else letter
    return out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
