"""Pages parsed into trees that know their parents, looked through, and dropped: a crawler's work.

A tree is one cycle, and dead when the next page comes: garbage all the time.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections import Counter
from collections.abc import Iterator

PAGES = 4_000
SECTIONS = 25

TAG = re.compile(r"<(/?)(\w+)([^>]*)>([^<]*)")
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
VOID = {"img", "br"}


class Text:
    def __init__(self, parent: Element, text: str) -> None:
        self.parent, self.text = parent, text


class Element:
    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | Text] = []
        if parent is not None:
            parent.children.append(self)

    def all(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.all()

    def text(self) -> str:
        return "".join(
            child.text if isinstance(child, Text) else child.text() for child in self.children
        )

    def within(self, tag: str) -> bool:
        """Whether it is somewhere below one of these."""
        above = self.parent
        while above is not None and above.tag != tag:
            above = above.parent
        return above is not None


def parse(source: str) -> Element:
    root = current = Element("document", {}, None)
    for closing, tag, attributes, text in TAG.findall(source):
        if closing:
            current = current.parent or root
        else:
            found = Element(tag, dict(ATTRIBUTE.findall(attributes)), current)
            if tag not in VOID:
                current = found
        if text.strip():
            current.children.append(Text(current, text))
    return root


def page(number: int) -> str:
    links = "".join(f'<li><a href="/p/{(number + 3) * link}">p{link}</a></li>' for link in range(9))
    sections = "".join(
        f'<section id="s{section}"><h2 class="c{section % 4}">Part {section} of {number}</h2>'
        f"<p>Some text, <b>and <i>more</i> of it</b><br>until "
        f'<a href="/p/{number * section}">a link</a> ends it.</p>'
        f'<img src="i{section}.png"><p class="note">As noted {section} times.</p></section>'
        for section in range(SECTIONS)
    )
    return (
        f"<html><head><title>Page {number}</title></head><body><nav><ul>{links}</ul></nav>"
        f"<main>{sections}</main></body></html>"
    )


def main(scale: float) -> str:
    links: Counter[str] = Counter()
    crc = 0
    for number in range(max(1, round(PAGES * scale))):
        document = parse(page(number))
        for element in document.all():
            if element.tag == "a" and not element.within("nav"):
                links[element.attributes["href"]] += 1
            elif element.tag in ("title", "h2"):
                crc = zlib.crc32(element.text().encode(), crc)
    return f"{len(links)} links, {links.most_common(1)[0][1]} at most, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
