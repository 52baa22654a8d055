"""How the demo's processes talk: JSON lines up a child's stdout, words down its stdin.

A child's stdin is also its lifeline. It is closed when the parent ends, however that happens, and
then the child ends itself.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading


def commands() -> queue.SimpleQueue[str]:
    """In a child, to be called first: a queue of the words from the parent."""
    # Ctrl-C goes to every process of the terminal. Only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    words: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_follow, args=(words,), daemon=True).start()
    return words


def _follow(words: queue.SimpleQueue[str]) -> None:
    # Not sys.stdin: its lock would be held here when the interpreter ends.
    with os.fdopen(os.dup(sys.stdin.fileno())) as lines:
        for line in lines:
            words.put(line.strip())
    os._exit(1)


def say(event: str, **values: object) -> None:
    """In a child: tell the parent."""
    print(json.dumps({"event": event, **values}), flush=True)
