"""A worker process: runs a command, and prints in JSON what it took the system.

It is started as a script, and its arguments are SEED COMMAND [ARGUMENTS ...]. It must stay small:
the memory of the process that starts a program counts, for the kernel, as a peak of the program.
"""

from __future__ import annotations

import json
import os
import sys
import time

MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def main(seed: str, command: list[str]) -> int:
    # The order in sets of strings is the same in all modes of a round.
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    reading, writing = os.pipe()
    to_pipe = [(os.POSIX_SPAWN_DUP2, writing, sys.stdout.fileno())]
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, environment, file_actions=to_pipe)
    os.close(writing)
    with open(reading, encoding="utf-8") as output:
        printed = output.read()
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    row = {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * MAXRSS_BYTES,
        "printed": printed.strip(),
    }
    json.dump(row, sys.stdout)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
