"""Programs that an exception interrupts at each point where CPython looks for signals."""

from __future__ import annotations

import textwrap
from pathlib import Path

from processes import run_program

INTERRUPTED = """
import dis, gc, sys
import gcctl

class SignalError(Exception):
    pass

opcodes = {}

def looks_for_signals(code, offset):
    if code not in opcodes:
        opcodes[code] = {i.offset: i.opname for i in dis.get_instructions(code)}
    opcode = opcodes[code].get(offset, "")
    return opcode.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))

def interrupted(work, raise_at):
    points = 0
    previous = {}

    def trace(frame, event, arg):
        nonlocal points
        if "gcctl" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            offset = previous.get(frame)
            previous[frame] = frame.f_lasti
            if offset is not None and looks_for_signals(frame.f_code, offset):
                points += 1
                if points == raise_at:
                    previous.clear()
                    sys.settrace(None)
                    raise SignalError
        return trace

    sys.settrace(trace)
    try:
        work()
    except SignalError:
        return True
    finally:
        sys.settrace(None)
    return False

# None by itself: in a callback of the collector's, such an exception would be lost.
gc.set_threshold(1_000_000, 10, 10)
"""


def interrupt_everywhere(setup: str, work: str, afterwards: str, directory: Path) -> int:
    """Interrupt the function `work` at one point after the other, each time followed by
    `afterwards`; how many points there were. In all three, `gc`, `gcctl` and `interrupted()` are
    there, and `raise_at` in the last."""
    loop = f"""
interrupted({work}, 0)  # CPython 3.12 and 3.13 may trace opcodes from the second time on only
raise_at = 1
while interrupted({work}, raise_at):
{textwrap.indent(textwrap.dedent(afterwards), "    ")}
    raise_at += 1
print(raise_at)
"""
    return int(run_program(INTERRUPTED + textwrap.dedent(setup) + loop, directory))
