"""A page needs no network, runs nothing, hides nothing from a reader, and says what it is given."""

import io
import re

import numpy as np
import pytest
from PIL import Image as Pillow
from synthetic_runs import Strict, tables_of

from counterplay.report.blocks import Code, Document, Image, Note, Section, Table, Text
from counterplay.report.markdown import markdown
from counterplay.report.page import html
from counterplay.report.style import STYLE

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    "</style></title></table><h1>",
    "<!-- --> ]]> &amp; &lt; &#60;",
    "javascript:alert(1) https://example.org/x.js",
    "a|b \\| `c` *d* _e_ [f](http://g) ![h](i) # ~j~ $k$",
    "two\nlines",
)
ALLOWED = set(
    re.findall(
        r"\w+",
        "html head meta title style body main header h1 h2 p nav ul li a section div table caption "
        "span thead tbody tr th td figure picture source img figcaption pre code b",
    )
)


def dot(colour: str) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (2, 2), colour).save(out, format="PNG")
    return out.getvalue()


def page_of(words: str) -> Document:
    """Every place that may hold words holds these."""
    table = Table(words, (words, words), ((words, words), ("1", "2")))
    film = Image("a.gif", words, words, dot("red"), still=dot("blue"))
    wide = Image("b.png", words, words, dot("red"), dark=dot("blue"), wide=900)
    blocks = (Text(words), Note(words), Code(words, words), table, film, wide)
    return Document(words, words, (Section(words, blocks), Section(words, ())))


@pytest.mark.parametrize("words", HOSTILE)
def test_words_from_files_are_words_and_nothing_else(words):
    page = Strict(html(page_of(words)))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    attributes = {name for _, found in page.tags for name in found}
    assert not any(name.startswith("on") for name in attributes)
    # title twice, about, two links, two headings, text, note, code twice, caption, four cells,
    # two captions of pictures: all of them whole
    assert sum(text.strip() == words for text in page.texts) == 18
    assert [image["alt"] for image in page.of("img")] == [words] * 3


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x7f", "\u202e", "\ud800", "\ufeff"])
def test_letters_that_no_page_may_hold_are_replaced(letter):
    for text in (html(page_of(f"a{letter}b")), markdown(page_of(f"a{letter}b"))):
        assert letter not in text and "a\N{REPLACEMENT CHARACTER}b" in text
        assert text.encode("utf-8")


def test_nothing_is_fetched():
    document = page_of("https://example.org")
    page = Strict(html(document))
    references = page.references()
    assert len(references) == 2 + 1 + 3, "two links, a source, three pictures"
    assert all(r.startswith(("data:image/", "#")) for r in references)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {t for t, _ in page.tags}
    assert not re.search(r"url\(|@import|@font-face|expression", STYLE)
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'") and "script" not in policy


def test_links_lead_to_their_sections():
    page = Strict(html(page_of("x")))
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids)) == 4
    assert [a["href"] for a in page.of("a")] == ["#s1", "#s2"]
    assert {a["href"][1:] for a in page.of("a")} <= set(ids)
    assert {s["aria-labelledby"] for s in page.of("section")} <= set(ids)


def test_a_phone_can_show_it():
    page = Strict(html(page_of("x")))
    (viewport,) = [m["content"] for m in page.of("meta") if m.get("name") == "viewport"]
    assert viewport == "width=device-width, initial-scale=1"
    assert rule(".scroll")["overflow-x"] == "auto" and rule("figure img")["max-width"] == "100%"
    scrolls = [d for d in page.of("div") if d.get("class") == "scroll"]
    assert len(scrolls) == 2 and all(d["tabindex"] == "0" and d["aria-label"] for d in scrolls)
    assert len(page.of("table")) == 1 and page.of("img")[2]["width"] == "900"
    assert float(rule("table")["font-size"].removesuffix("rem")) * 16 >= 14
    assert float(rule("figcaption", last=True)["font-size"].removesuffix("rem")) * 16 >= 14


def test_paper_shows_whole_figures_and_no_films():
    (paper,) = re.findall(r"@media print \{(.*)\n\}", STYLE, flags=re.S)
    assert rule("figure, img, table, tr, pre, p", paper)["break-inside"] == "avoid"
    assert rule("h1, h2", paper)["break-after"] == "avoid"
    assert rule(".scroll", paper)["overflow"] == "visible"
    assert rule("pre", paper)["white-space"] == "pre-wrap"
    assert rule(".film", paper)["display"].startswith("none")
    assert rule(".still", paper)["display"].startswith("block")
    film, still, _ = Strict(html(page_of("x"))).of("img")
    assert (film["class"], still["class"]) == ("film", "still")
    assert film["src"].startswith("data:image/gif") and still["src"].startswith("data:image/png")


def test_a_dark_page_has_dark_pictures_and_every_word_can_be_read():
    (source,) = Strict(html(page_of("x"))).of("source")
    assert source["media"] == "screen and (prefers-color-scheme: dark)"
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, flags=re.S)[:2]
    for scheme in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for name in ("ink", "soft", "mark", "link"):
            for under in ("paper", "panel"):
                assert contrast(colours[name], colours[under]) >= 4.5, (name, under)
    assert "prefers-reduced-motion" in STYLE


def test_markdown_tables_hold_what_they_were_given():
    rows = tuple((words.replace("\n", " "), "1.5", "") for words in HOSTILE)
    table = Table("A table", ("who | what", "mean", "low"), rows)
    (found,) = tables_of(markdown(Document("t", "a", (Section("s", (table,)),))))
    assert found == [["who | what", "mean", "low"], *([*row] for row in rows)]
    lines = markdown(Document("t", "a", (Section("s", (table,)),))).splitlines()
    assert lines[lines.index("A table") + 3] == "|---|---:|---:|"


@pytest.mark.parametrize("words", HOSTILE)
def test_markdown_takes_no_orders_from_words(words):
    text = markdown(Document("t", "a", (Section("s", (Text(words), Note(words))),)))
    assert not re.search(r"<(?!--)", text.replace("> **Note**", ""))
    assert not re.search(r"(?<!\\)[*`\[|]", text.replace("**Note**", ""))


def test_a_command_stays_inside_its_fence():
    command = "counterplay train '```' x\n````\nmore"
    text = markdown(Document("t", "a", (Section("s", (Code("It", command),)),)))
    assert f"\n`````\n{command}\n`````\n" in text


def test_markdown_names_the_files_of_its_pictures():
    text = markdown(page_of("x"))
    assert re.findall(r"!\[x\]\((.*?)\)", text) == ["figures/a.gif", "figures/b.png"]


def rule(selector: str, sheet: str = STYLE, last: bool = False) -> dict[str, str]:
    """The declarations of the first (or last) rule with this selector."""
    pattern = rf"(?:^|[}},\s]){re.escape(selector)} \{{(.*?)\}}"
    found = re.findall(pattern, sheet, flags=re.S)
    assert found, f"no rule for {selector}"
    body = found[-1 if last else 0]
    return {k.strip(): v.strip() for k, v in re.findall(r"([\w-]+):([^;}]+)", body)}


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    bright, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
