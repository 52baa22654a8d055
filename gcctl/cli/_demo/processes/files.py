"""The work of the scenario "files": a file of text, written and then processed chunk by chunk.

    python -m gcctl.cli._demo.processes.files '{"mib": 50, "limit_bytes": 33554432}'

The limit is in bytes above memory at the start. With one, the chunks go through `gcctl.batched_gc`
under that `memory_limit`. With null, gcctl is not installed and automatic GC collects. It says
"progress" with the MiB processed, and "measured". The file has no name, so nothing is left of it
however the process ends.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import platform
import random
import string
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import gcctl
from gcctl._process import twins
from gcctl.cli._demo.processes import pipes
from gcctl.cli._demo.processes.meter import Meter, peak_rss_bytes, rss_bytes

MIB = 2**20
CHUNK_BYTES = MIB
EVERY = 10
"""Chunks from one collection of generation 0 to the next with gcctl."""

BLOCKS = 16
BLOCK_BYTES = CHUNK_BYTES // BLOCKS
"""Size of the different pieces of text, which are used in turn: to make new text for each would
take longer than the work. Together they are as large as one chunk, so memory at the start hardly
grows."""
VOCABULARY = 5_000
FIELDS = 8
WORDS = 9
"""Words per field. A record is half a KiB, a chunk has about 2,000 records."""

PROGRESS_CHUNKS = 10


def write(file: BinaryIO, mib: int) -> None:
    """Write that many MiB of text, the same in each process."""
    chance = random.Random(VOCABULARY)
    words = [
        "".join(chance.choices(string.ascii_lowercase, k=chance.randint(3, 10)))
        for _ in range(VOCABULARY)
    ]
    blocks = [_block(chance, words) for _ in range(BLOCKS)]
    for number in range(mib * MIB // BLOCK_BYTES):
        # Each begins with a line of its own, so that no two are the same.
        file.write((b"part %d\n" % number + blocks[number % BLOCKS])[:BLOCK_BYTES])


def _block(chance: random.Random, words: list[str]) -> bytes:
    lines: list[str] = []
    missing = BLOCK_BYTES
    while missing > 0:
        lines.append(",".join(" ".join(chance.choices(words, k=WORDS)) for _ in range(FIELDS)))
        missing -= len(lines[-1]) + 1
    return "\n".join(lines).encode()


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """The file in chunks of 1 MiB, each with the rest of its last line."""
    while block := file.read(CHUNK_BYTES):
        yield block + file.readline()


class Chunk:
    """The records of a chunk. They refer to the chunk and to each other, so only the collector
    frees them."""

    def __init__(self, content: bytes) -> None:
        self.text = content.decode()
        self.records: list[Record] = []
        for line in self.text.splitlines():
            self.records.append(Record(self, line))


class Record:
    def __init__(self, chunk: Chunk, line: str) -> None:
        self.chunk = chunk
        self.previous = chunk.records[-1] if chunk.records else None
        self.fields = line.split(",")


class Summary:
    """All that is kept of a file."""

    def __init__(self) -> None:
        self.records = 0
        self.words = 0
        self.checksum = 0
        self.first_words: Counter[str] = Counter()

    def add(self, content: bytes) -> None:
        self.checksum = zlib.crc32(content, self.checksum)
        for record in Chunk(content).records:
            self.records += 1
            self.words += sum(len(field.split()) for field in record.fields)
            self.first_words[record.fields[0].partition(" ")[0]] += 1


def process(contents: Iterator[bytes]) -> Summary:
    summary = Summary()
    for number, content in enumerate(contents, start=1):
        summary.add(content)
        if number % PROGRESS_CHUNKS == 0:
            pipes.say("progress", done=number)
    return summary


def main() -> None:
    plan = json.loads(sys.argv[1])
    pipes.commands()
    logging.getLogger("gcctl").addHandler(logging.NullHandler())  # the figures say it all
    with tempfile.TemporaryFile() as file:
        write(file, plan["mib"])
        file.flush()
        os.fsync(file.fileno())  # else the system would do it while the work is measured
        file.seek(0)
        gc.collect()
        before_bytes = rss_bytes()
        contents = chunks(file)
        limit_bytes = None
        if plan["limit_bytes"] is not None:
            limit_bytes = before_bytes + plan["limit_bytes"]
            gcctl.install("off", memory_limit=limit_bytes)
            contents = gcctl.batched_gc(contents, every=EVERY)
        with Meter() as meter:
            summary = process(contents)
        after_bytes, peak_bytes = rss_bytes(), peak_rss_bytes()
    pipes.say(
        "measured",
        memory_limit_bytes=limit_bytes,
        rss_before_bytes=before_bytes,
        rss_peak_bytes=peak_bytes,
        rss_after_bytes=after_bytes,
        **meter.figures(),
        high_memory_events=gcctl.stats().high_memory_events,
        records=summary.records,
        words=summary.words,
        checksum=summary.checksum,
        python=platform.python_version(),
        implementation=twins.core.implementation,
    )


if __name__ == "__main__":
    main()
