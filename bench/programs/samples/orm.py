"""A nightly batch over a database, by a small object-relational mapper: an identity map, a unit of
work, and entities that refer to each other in both directions.

The session is cleared after every chunk, which leaves its entities as cyclic garbage.
"""

from __future__ import annotations

import argparse
import sqlite3
import zlib
from collections import defaultdict
from typing import ClassVar, TypeVar

AUTHORS = 24_000
BOOKS_EACH = 4
CHUNK = 500

SCHEMA = """
CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, rank INTEGER);
CREATE TABLE book (id INTEGER PRIMARY KEY, author_id INTEGER, title TEXT, sold INTEGER);
CREATE TABLE review (id INTEGER PRIMARY KEY, book_id INTEGER, stars INTEGER, text TEXT);
CREATE INDEX book_author ON book (author_id);
CREATE INDEX review_book ON review (book_id);
"""


class Entity:
    """A row. Setting one of its columns tells the session that it must be written."""

    table: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    id: int

    def __init__(self, session: Session, id: int, *values: object) -> None:
        self.__dict__.update(zip(self.columns, values, strict=True), session=session, id=id)

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value
        if name in self.columns:
            self.__dict__["session"].dirty[self.table, self.id] = self


class Author(Entity):
    table = "author"
    columns = ("name", "rank")
    name: str
    rank: int

    def __init__(self, session: Session, id: int, *values: object) -> None:
        super().__init__(session, id, *values)
        self.books: list[Book] = []


class Book(Entity):
    table = "book"
    columns = ("author_id", "title", "sold")
    author_id: int
    title: str
    sold: int

    def __init__(self, session: Session, id: int, *values: object) -> None:
        super().__init__(session, id, *values)
        self.reviews: list[Review] = []
        self.author = session.get(Author, self.author_id)
        self.author.books.append(self)


class Review(Entity):
    table = "review"
    columns = ("book_id", "stars", "text")
    book_id: int
    stars: int
    text: str

    def __init__(self, session: Session, id: int, *values: object) -> None:
        super().__init__(session, id, *values)
        self.book = session.get(Book, self.book_id)
        self.book.reviews.append(self)


E = TypeVar("E", bound=Entity)
Rows = defaultdict[type[Entity], list[tuple[object, ...]]]


class Session:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.clear()

    def clear(self) -> None:
        self.identities: dict[tuple[str, int], Entity] = {}
        self.new: list[Entity] = []
        self.dirty: dict[tuple[str, int], Entity] = {}

    def get(self, kind: type[E], id: int) -> E:
        """The one object for that row: from the identity map, else read."""
        found = self.identities.get((kind.table, id))
        if not isinstance(found, kind):
            (found,) = self.select(kind, "id = ?", id)
        return found

    def select(self, kind: type[E], where: str, *values: object) -> list[E]:
        columns = ", ".join(("id", *kind.columns))
        query = f"SELECT {columns} FROM {kind.table} WHERE {where} ORDER BY id"
        found = []
        for id, *row in self.connection.execute(query, values):
            entity = self.identities.get((kind.table, id))
            if not isinstance(entity, kind):
                entity = self.identities[kind.table, id] = kind(self, id, *row)
            found.append(entity)
        return found

    def add(self, kind: type[E], id: int, *values: object) -> E:
        entity = kind(self, id, *values)
        self.identities[kind.table, id] = entity
        self.new.append(entity)
        return entity

    def commit(self) -> None:
        """Write what is new or changed, a statement for each table."""
        inserted: Rows = defaultdict(list)
        updated: Rows = defaultdict(list)
        for entity in self.new:
            inserted[type(entity)].append((entity.id, *self.values(entity)))
        for entity in self.dirty.values():
            updated[type(entity)].append((*self.values(entity), entity.id))
        for kind, rows in inserted.items():
            marks = ", ".join("?" * (len(kind.columns) + 1))
            self.connection.executemany(f"INSERT INTO {kind.table} VALUES ({marks})", rows)
        for kind, rows in updated.items():
            settings = ", ".join(f"{column} = ?" for column in kind.columns)
            self.connection.executemany(f"UPDATE {kind.table} SET {settings} WHERE id = ?", rows)
        self.connection.commit()
        self.new.clear()
        self.dirty.clear()

    @staticmethod
    def values(entity: Entity) -> list[object]:
        return [getattr(entity, column) for column in entity.columns]


def fill(session: Session, first: int, last: int) -> None:
    for number in range(first, last):
        session.add(Author, number, f"author {number}", 0)
        for book in range(number * BOOKS_EACH, (number + 1) * BOOKS_EACH):
            session.add(Book, book, number, f"title {book}", book * 37 % 1000)
            for review in range(book * 2, book * 2 + book % 3):
                session.add(Review, review, book, review * 13 % 5 + 1, f"review {review}")


def rank(session: Session, first: int, last: int) -> None:
    """Authors by the stars of their books; a book that nobody has reviewed gets a first review."""
    authors = session.select(Author, "id >= ? AND id < ?", first, last)
    session.select(Book, "author_id >= ? AND author_id < ?", first, last)
    books = (first * BOOKS_EACH, last * BOOKS_EACH)
    session.select(Review, "book_id >= ? AND book_id < ?", *books)
    for author in authors:
        for book in author.books:
            if not book.reviews:
                session.add(Review, book.id * 2, book.id, 3, f"{author.name}: {book.title}")
            if book.sold > 900:
                book.sold //= 2
        stars = [review.stars for book in author.books for review in book.reviews]
        author.rank = sum(stars) * 100 // len(stars)


def main(scale: float) -> str:
    session = Session(sqlite3.connect(":memory:"))
    session.connection.executescript(SCHEMA)
    authors = max(1, round(AUTHORS * scale))
    for step in (fill, rank):
        for first in range(0, authors, CHUNK):
            step(session, first, min(first + CHUNK, authors))
            session.commit()
            session.clear()
    rows = session.connection.execute("SELECT id, name, rank FROM author ORDER BY id").fetchall()
    (sold,) = session.connection.execute("SELECT sum(sold) FROM book").fetchone()
    return f"{len(rows)} authors, {sold} sold, {zlib.crc32(repr(rows).encode()):08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
