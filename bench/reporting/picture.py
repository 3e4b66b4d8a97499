"""A picture in a page: an image, in which nothing acts, whatever its file holds."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from xml.etree import ElementTree

ACTING = {"script", "foreignobject", "iframe", "object", "embed", "animate", "set", "handler", "listener", "a"}
"""Elements of SVG by which a file does or fetches something."""

ELSEWHERE = re.compile(r"@import|image-set|(?<![\w-])(src|image)\(|url\(\s*['\"]?(?!#)|\\", re.IGNORECASE)
"""In a style: anything but a part of the file itself. A backslash can write each of these so that nobody recognises it."""

VOCABULARIES = {
    "",
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/XML/1998/namespace",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "http://purl.org/dc/elements/1.1/",
    "http://creativecommons.org/ns#",
}
"""Namespaces of a drawing and of what is said about it. An element of HTML acts and fetches wherever it stands."""


@dataclass(frozen=True)
class Figure:
    """An SVG as a page shows it."""

    caption: str
    label: str
    """What it shows, for those who cannot see it."""
    source: str
    """A relative address, or a data URI."""
    width: float
    height: float
    """Of the drawing; their ratio keeps its place free until it is drawn."""

    @classmethod
    def of(cls, svg: str, caption: str, label: str, source: str | None = None) -> Figure:
        """Of the text of an SVG file.

        Args:
            source: where the file is, from the page; without one the page holds the picture itself.

        Raises:
            ElementTree.ParseError: it is not XML.
            ValueError: it does not say how large it is, or holds what could act where the file is opened by itself.
        """
        if "<?xml-stylesheet" in svg.lower():
            raise ValueError("it names a style sheet, which no figure does")
        root = ElementTree.fromstring(svg)
        size = root.get("viewBox", "").split()
        if len(size) != 4:
            raise ValueError("it has no viewBox")
        _refuse_acting(root)
        if source is None:
            source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
        return cls(caption, label, source, float(size[2]), float(size[3]))


def _refuse_acting(root: ElementTree.Element) -> None:
    """No figure of this program holds a script, a page or an address of elsewhere; one that does came from somebody else."""
    for element in root.iter():
        vocabulary, _, name = str(element.tag).rpartition("}")
        if vocabulary.removeprefix("{") not in VOCABULARIES:
            raise ValueError(f"it holds <{name}> of {vocabulary[1:61]}, which no figure does")
        tag = name.lower()
        if tag in ACTING or (tag == "style" and ELSEWHERE.search("".join(element.itertext()))):
            raise ValueError(f"it holds <{tag}>, which no figure does")
        for key, value in element.attrib.items():
            name, inside = key.rpartition("}")[2].lower(), value.strip().lower()
            away = name in ("href", "src", "srcset") and not inside.startswith(("#", "data:image/png"))
            if away or name.startswith("on") or ELSEWHERE.search(inside):
                raise ValueError(f"it holds {name}={value[:40]!r}, which no figure does")
