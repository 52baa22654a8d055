"""An asyncio tree: every task gathers tasks of its own, down to leaves that have the work.

With `--io` a leaf first waits for an answer, so that whole levels of the tree are alive at a time;
without, nearly everything that takes time is the making of tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import zlib

BRANCHES = 6
LEVELS = 6
TREES = 3
ANSWER_SECONDS = 0.02


class Tree:
    def __init__(self, io: bool) -> None:
        self.io = io
        self.leaves = 0

    async def leaf(self, path: int) -> int:
        if self.io:
            await asyncio.sleep(ANSWER_SECONDS)
        self.leaves += 1
        return zlib.crc32(path.to_bytes(8, "little")) & 0xFFFF

    async def node(self, level: int, path: int) -> int:
        if level == 0:
            return await self.leaf(path)
        branches = (self.node(level - 1, path * BRANCHES + branch) for branch in range(BRANCHES))
        return sum(await asyncio.gather(*branches)) & 0xFFFFFFFF


async def forest(scale: float, io: bool) -> str:
    """As many trees as that, one after the other; for less than one, a smaller one."""
    tree, total = Tree(io), 0
    count = round(TREES * scale)
    levels = LEVELS if count else LEVELS - 2
    for number in range(max(1, count)):
        total += await tree.node(levels, number + 1)
    return f"{tree.leaves} leaves, {total}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--io", action="store_true")
    arguments = parser.parse_args()
    print(asyncio.run(forest(arguments.scale, arguments.io)))
