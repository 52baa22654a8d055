"""A search index in memory: built from documents once, kept, and asked.

A posting is an object with a list, and they all live until the end: nothing is garbage, and the
collector goes through ever more of them.
"""

from __future__ import annotations

import argparse
import random
import zlib
from collections.abc import Iterable

DOCUMENTS = 20_000
WORDS_EACH = 60
VOCABULARY = 8_000
QUERIES = 400


class Document:
    __slots__ = ("length", "links", "number", "title")

    def __init__(self, number: int, length: int) -> None:
        self.number, self.length = number, length
        self.title = f"document {number}"
        self.links: list[Document] = []


class Posting:
    """Where in a document a word is."""

    __slots__ = ("document", "positions")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.positions: list[int] = []


class Index:
    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.terms: dict[str, dict[int, Posting]] = {}

    def add(self, words: list[str]) -> None:
        document = Document(len(self.documents), len(words))
        if self.documents:  # each refers to an earlier one and is known to it
            other = self.documents[zlib.crc32(words[0].encode()) % len(self.documents)]
            document.links.append(other)
            other.links.append(document)
        self.documents.append(document)
        for position, word in enumerate(words):
            postings = self.terms.setdefault(word, {})
            posting = postings.get(document.number)
            if posting is None:
                posting = postings[document.number] = Posting(document)
            posting.positions.append(position)

    def search(self, words: Iterable[str]) -> list[tuple[float, Document]]:
        """Documents with all of the words, the best first."""
        found = sorted((self.terms.get(word, {}) for word in words), key=len)
        numbers = set(found[0]).intersection(*found[1:])
        ranked = []
        for number in numbers:
            postings = [postings[number] for postings in found]
            document = postings[0].document
            score = sum(len(posting.positions) for posting in postings) / document.length
            ranked.append((score + len(document.links) / 100, document))
        ranked.sort(key=lambda each: (-each[0], each[1].number))
        return ranked[:10]


def text(chance: random.Random, vocabulary: list[str], words: int) -> list[str]:
    """Words as they are in texts: a few of them often."""
    size = len(vocabulary)
    return [vocabulary[int(size * chance.random() ** 3)] for _ in range(words)]


def main(scale: float) -> str:
    chance = random.Random(5)
    vocabulary = [f"word{number}" for number in range(VOCABULARY)]
    index = Index()
    for _ in range(max(10, round(DOCUMENTS * scale))):
        index.add(text(chance, vocabulary, WORDS_EACH))
    crc, hits = 0, 0
    for _ in range(max(10, round(QUERIES * scale))):
        for score, document in index.search(text(chance, vocabulary, 2)):
            hits += 1
            crc = zlib.crc32(f"{score:.6f} {document.title}".encode(), crc)
    return f"{len(index.documents)} documents, {len(index.terms)} terms, {hits} hits, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
