"""The file of a worker: room for two records, which are written in turn.

Each has its number and a checksum. Who is killed while writing one leaves the other.
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
"""Another one for other contents: a record of another format is as good as none."""
SEAL: Final = struct.Struct("=8sI")
"""Magic, and the checksum of all that follows."""
HEAD: Final = struct.Struct("=QI")
"""The number of the record, and the length of its content."""


def write(file: int, number: int, reading: Reading) -> None:
    """Raises OSError."""
    content = reading.encode()
    body = HEAD.pack(number, len(content)) + content
    record = (SEAL.pack(MAGIC, zlib.crc32(body)) + body).ljust(RECORD_BYTES, b"\0")
    if len(record) > RECORD_BYTES:
        raise OSError(f"{len(content):,} bytes do not fit into a record")
    os.pwrite(file, record, number % 2 * RECORD_BYTES)


def newest(file: bytes) -> tuple[int, Reading]:
    """The number of the last record that is whole, and what is in it; 0 and NOTHING for none.

    Raises ValueError where that is of another version.
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
