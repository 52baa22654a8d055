"""A log file summed up: one of those scripts that are run often and done in the blink of an eye."""

from __future__ import annotations

import argparse
import csv
import io
import json
import zlib
from collections import Counter, defaultdict
from datetime import datetime, timedelta

LINES = 20_000
PATHS = ("/", "/cart", "/search", "/item/17", "/item/42", "/login", "/help")


def log(lines: int) -> str:
    start = datetime(2024, 5, 1)
    return "time,method,path,status,milliseconds\n" + "".join(
        f"{start + timedelta(seconds=7 * line)},{'POST' if line % 9 == 0 else 'GET'},"
        f"{PATHS[line * line % 7]},{500 if line % 97 == 0 else 200},{line * 31 % 250}\n"
        for line in range(lines)
    )


def main(scale: float) -> str:
    statuses: Counter[str] = Counter()
    hours: defaultdict[str, list[int]] = defaultdict(list)
    slowest: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(log(max(1, round(LINES * scale))))):
        took = int(row["milliseconds"])
        statuses[row["status"]] += 1
        hours[f"{datetime.fromisoformat(row['time']):%d. %H}"].append(took)
        slowest[row["path"]] = max(took, slowest.get(row["path"], 0))
    means = {hour: sum(times) / len(times) for hour, times in hours.items()}
    summary = json.dumps({"statuses": statuses, "means": means, "slowest": slowest}, indent=1)
    return f"{statuses.total()} requests, {zlib.crc32(summary.encode()):08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
