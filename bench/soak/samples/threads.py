"""Two threads leave garbage all the time, while the main thread waits in C.

It waits for the threads, or sleeps. Where nobody else frees it the process grows.
"""

from __future__ import annotations

import sys
import threading
import time

from witness import Soak, Witness, thread_of_the_program

WAITS = sys.argv.pop()
"""How the main thread waits: "joins" or "sleeps"."""


def work(soak: Soak) -> None:
    thread_of_the_program()
    while not soak.is_over:
        for _ in range(200):
            Witness(bytearray(1000))
        time.sleep(0.002)


soak = Soak()
threads = [threading.Thread(target=work, args=(soak,)) for _ in range(2)]
for thread in threads:
    thread.start()
while WAITS == "sleeps" and not soak.is_over:
    time.sleep(soak.seconds_left)
for thread in threads:
    thread.join()
soak.tell()
