"""An asyncio server and its clients, in debug mode, beside a thread that sleeps.

Some streams are never closed, and end as garbage. In debug mode their transports refuse to be used
in another thread than the loop's.
"""

from __future__ import annotations

import asyncio
import logging
import warnings

from witness import Soak, Witness, thread_of_the_program

warnings.simplefilter("ignore", ResourceWarning)
logging.getLogger("asyncio").setLevel(logging.ERROR)  # a busy machine makes slow callbacks


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1):
        writer.write(b"x")
    writer.close()


async def ask(port: int, *, closes: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x")
    await reader.read(1)
    Witness(asyncio.current_task(), reader, writer)
    if closes:
        writer.close()


async def main(soak: Soak) -> None:
    await asyncio.get_running_loop().run_in_executor(None, thread_of_the_program)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    number = 0
    while not soak.is_over:
        if not soak.works:
            await asyncio.sleep(0.05)
            continue
        await asyncio.gather(*(ask(port, closes=bool(number % 50)) for _ in range(5)))
        for _ in range(100):
            Witness([number])
        number += 1
        await asyncio.sleep(0.001)
    server.close()


soak = Soak()
asyncio.run(main(soak), debug=True)
soak.tell()
