"""A report as Markdown, with its pictures in a folder beside it."""

import re

from counterplay.report.blocks import Block, Code, Document, Image, Note, Table, Text

FIGURES = "figures"
"""The folder of pictures, beside the report."""


def markdown(document: Document) -> str:
    """The whole report."""
    parts = [f"# {_text(document.title)}", _text(document.about)]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text(words):
            return _text(words)
        case Note(words):
            return f"> **Note** {_text(words)}"
        case Code(words, command):
            longest = max((len(run) for run in re.findall("`+", command)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{_text(words)}\n\n{fence}\n{_printable(command)}\n{fence}"
        case Table():
            return _table(block)
        case Image():
            return f"![{_text(block.alt)}]({FIGURES}/{block.file})\n\n{_text(block.caption)}"


def _table(table: Table) -> str:
    marks = ["---"] + ["---:" if table.numbers else "---"] * (len(table.columns) - 1)
    head = [_row(table.columns), "|" + "|".join(marks) + "|"]
    return "\n".join([f"{_text(table.caption)}\n", *head, *(_row(row) for row in table.rows)])


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(words: str) -> str:
    """Words that Markdown shows as they are, on one line; no part of them is markup."""
    line = " ".join(_printable(words).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~$!])", r"\\\1", line)
    line = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)  # inside a word it marks nothing
    return re.sub(r"^(#+|\+|-+|=+)(?=\s|$)", r"\\\1", line)


def _printable(words: str) -> str:
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in words
    )
