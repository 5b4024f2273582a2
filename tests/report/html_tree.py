"""A page as a tree of elements, read by Python's own parser."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = ("meta", "link", "img", "wbr")


@dataclasses.dataclass
class Element:
    """One of the page's elements; strings among its children are text."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = dataclasses.field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """Itself and all below, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {(name.rstrip("_"), value) for name, value in attributes.items()}
        return [
            element
            for element in self
            if element.tag == tag and wanted <= element.attributes.items()
        ]

    def at(self, identifier: str) -> Element:
        (found,) = [element for element in self if element.attributes.get("id") == identifier]
        return found

    def has(self, identifier: str) -> bool:
        return any(element.attributes.get("id") == identifier for element in self)

    @property
    def text(self) -> str:
        texts = [child if isinstance(child, str) else child.text for child in self.children]
        return "".join(texts).replace("\N{NO-BREAK SPACE}", " ")


class _Reader(HTMLParser):
    """Builds the tree, and fails where an element isn't closed."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), self.getpos()
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(html: str) -> Element:
    """The tree of a page; fails on an element that is not closed or says a thing twice."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1
    return reader.root
