"""What a report says, in plain words and numbers: each writer turns it into its own format.

Nothing here is escaped; the writers escape everything.
"""

from typing import NamedTuple


class Text(NamedTuple):
    """A paragraph."""

    words: str


class Note(NamedTuple):
    """A paragraph that a reader must not miss: what is preliminary, unfinished or left out."""

    words: str


class Code(NamedTuple):
    """A command to copy, under the words that introduce it."""

    words: str
    command: str


class Table(NamedTuple):
    """The first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True
    """Whether cells hold numbers, which stand to the right."""


class Image(NamedTuple):
    """A picture and the same in words."""

    file: str
    """Its name in the folder of figures."""
    alt: str
    caption: str
    data: bytes
    dark: bytes = b""
    """The same for a dark page; empty where one picture serves both."""
    still: bytes = b""
    """What stands for a film on paper and where motion is not wanted."""
    wide: int = 0
    """Its width in CSS pixels where it is moved sideways on a phone instead of made small."""


Block = Text | Note | Code | Table | Image


class Section(NamedTuple):
    title: str
    blocks: tuple[Block, ...]


class Document(NamedTuple):
    title: str
    about: str
    """One line under the title: when, of what."""
    sections: tuple[Section, ...]
