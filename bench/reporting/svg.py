"""An SVG file as a part of an HTML page."""

from __future__ import annotations

from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = {"metadata", "style", "script", "foreignObject"}
"""Elements without a place in the page: matplotlib's metadata and its style for the whole document, and all that could act."""


def inline(text: str, prefix: str, label: str) -> str:
    """The element <svg> of a file, as wide as its place.

    Args:
        prefix: goes before every id, because figures of one origin use the same ids.
        label: what the picture shows, for those who cannot see it.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    root = ElementTree.fromstring(text)
    _drop(root)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        for name, value in list(element.attrib.items()):
            if name.lower().startswith("on"):
                del element.attrib[name]
            elif name == "id":
                element.set(name, prefix + value)
            elif name in (LINK, "href"):
                del element.attrib[name]
                if value.startswith("#"):
                    element.set("href", f"#{prefix}{value[1:]}")
            else:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", label)
    for element in root.iter():
        element.text, element.tail = (part if part and part.strip() else None for part in (element.text, element.tail))
    return ElementTree.tostring(root, encoding="unicode")


def _drop(element: ElementTree.Element) -> None:
    for child in list(element):
        if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in DROPPED:
            element.remove(child)
        else:
            _drop(child)
