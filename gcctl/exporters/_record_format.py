"""The format of a worker's file: two records, which are written in turn.

Each record has a number and a checksum. If a worker is killed while it writes one record, the other
one is still whole.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Final

from gcctl.exporters._reading import NOTHING, Reading

RECORD_BYTES: Final = 8192
FILE_BYTES: Final = 2 * RECORD_BYTES
MAGIC: Final = b"gcctl 1\n"
"""To be changed with the format: a record of another format counts as none."""
SEAL: Final = struct.Struct("=8sI")
"""Magic, and the checksum of everything after it."""
HEAD: Final = struct.Struct("=QI")
"""The number of the record, and the length of its content."""


def write(file: int, number: int, reading: Reading) -> None:
    """Write one record. Raises OSError."""
    content = reading.encode()
    body = HEAD.pack(number, len(content)) + content
    record = (SEAL.pack(MAGIC, zlib.crc32(body)) + body).ljust(RECORD_BYTES, b"\0")
    if len(record) > RECORD_BYTES:
        raise OSError(f"{len(content):,} bytes do not fit into a record")
    os.pwrite(file, record, number % 2 * RECORD_BYTES)


def newest(file: bytes) -> tuple[int, Reading]:
    """The number and the content of the last whole record; 0 and NOTHING where there is none.

    Raises ValueError where that record is of another version.
    """
    last, found = 0, b""
    for start in range(0, len(file) - SEAL.size - HEAD.size, RECORD_BYTES):
        magic, checksum = SEAL.unpack_from(file, start)
        head = start + SEAL.size
        number, length = HEAD.unpack_from(file, head)
        content = head + HEAD.size
        whole = checksum == zlib.crc32(file[head : content + length])
        if magic == MAGIC and whole and number > last:
            last, found = number, file[content : content + length]
    return last, Reading.decode(found) if found else NOTHING
