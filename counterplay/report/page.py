"""A report as one HTML file that needs nothing else: no network, no script, pictures inside."""

import base64
from html import escape
from itertools import groupby

from counterplay.report.blocks import Block, Code, Document, Image, Note, Section, Table, Text
from counterplay.report.style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Told to the browser: should anything slip through, it may neither run nor load."""


def html(document: Document) -> str:
    """The whole page."""
    sections = [(f"s{i + 1}", section) for i, section in enumerate(document.sections)]
    links = "".join(f'<li><a href="#{at}">{_text(s.title)}</a></li>' for at, s in sections)
    body = "\n".join(_section(at, section) for at, section in sections)
    title = _text(document.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p class="about">{_text(document.about)}</p>
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
{body}
</main>
</body>
</html>
"""


def _section(at: str, section: Section) -> str:
    parts = []
    for images, group in groupby(section.blocks, lambda block: isinstance(block, Image)):
        inside = "\n".join(_block(block) for block in group)
        parts.append(f'<div class="figures">\n{inside}\n</div>' if images else inside)
    body = "\n".join(parts)
    head = f'<h2 id="{at}-title">{_text(section.title)}</h2>'
    return f'<section id="{at}" aria-labelledby="{at}-title">\n{head}\n{body}\n</section>'


def _block(block: Block) -> str:
    match block:
        case Text(words):
            return f"<p>{_text(words)}</p>"
        case Note(words):
            return f'<p class="note"><b>Note</b> {_text(words)}</p>'
        case Code(words, command):
            shown = f'<pre tabindex="0"><code>{_text(command)}</code></pre>'
            return f"<p>{_text(words)}</p>\n{shown}"
        case Table():
            return _table(block)
        case Image():
            return _figure(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"><span>{_text(name)}</span></th>' for name in table.columns)
    rows = []
    for first, *rest in table.rows:
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in rest)
        rows.append(f'<tr><th scope="row"><span>{_text(first)}</span></th>{cells}</tr>')
    look = ' class="numbers"' if table.numbers else ""
    caption = _text(table.caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">\n'
        f"<table{look}>\n<caption><span>{caption}</span></caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n"
        "</div>"
    )


def _figure(image: Image) -> str:
    kind = "gif" if image.file.endswith(".gif") else "png"
    film = ' class="film"' if image.still else ""
    look = f'{film} width="{image.wide}"' if image.wide else film
    shown = f'<img{look} src="{_data(image.data, kind)}" alt="{_text(image.alt)}">'
    if image.dark:
        dark = _data(image.dark, kind)
        source = f'<source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
        shown = f"<picture>{source}{shown}</picture>"
    if image.still:
        shown += f'\n<img class="still" src="{_data(image.still)}" alt="{_text(image.alt)}">'
    if image.wide:
        name = _text(image.caption)
        shown = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">{shown}</div>'
    kinds = {"wide": image.wide, "moving": image.still}
    look = " ".join(name for name, holds in kinds.items() if holds)
    look = f' class="{look}"' if look else ""
    return f"<figure{look}>\n{shown}\n<figcaption>{_text(image.caption)}</figcaption>\n</figure>"


def _data(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _text(words: str) -> str:
    """Words as they are, whatever they hold; what no page may hold becomes a question mark."""
    plain = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in words
    )
    return escape(plain, quote=True)
