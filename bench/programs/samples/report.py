"""Pages rendered from a template, which is compiled to a function: mostly strings, few cycles."""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Callable
from html import escape
from typing import Any

PAGES = 3_000
ROWS = 120

PART = re.compile(r"{{ (.+?) }}|{% (.+?) %}")

LAYOUT = """<html><head><title>{{ title }}</title></head>
<body class="{{ theme }}"><h1>{{ title.upper() }}</h1>
<table>
{% for row in rows %}
  <tr class="{{ 'odd' if row['number'] % 2 else 'even' }}">
    <td>{{ row['number'] }}</td><td>{{ row['name'] }}</td>
    {% if row['amount'] < 0 %}
    <td class="negative">{{ f"{row['amount']:,.2f}" }}</td>
    {% else %}
    <td>{{ f"{row['amount']:,.2f}" }}</td>
    {% end %}
    <td>
    {% for tag in row['tags'] %}
      <span title="{{ tag }}">{{ tag.capitalize() }}</span>
    {% end %}
    </td>
  </tr>
{% end %}
</table>
<p>Total: {{ f"{sum(row['amount'] for row in rows):,.2f}" }}</p></body></html>
"""

Render = Callable[[dict[str, Any]], str]


def compiled(template: str) -> Render:
    """A function that fills the template in; what is in {{ }} is escaped."""
    lines, depth, end = ["def render(context):", " parts = []"], 1, 0
    arguments = sorted({name for name in ("title", "theme", "rows") if name in template})
    lines += [f" {name} = context[{name!r}]" for name in arguments]

    def emit(line: str) -> None:
        lines.append(" " * depth + line)

    for part in PART.finditer(template):
        emit(f"parts.append({template[end : part.start()]!r})")
        end = part.end()
        value, statement = part.groups()
        if value:
            emit(f"parts.append(escape(str({value})))")
        elif statement == "end":
            depth -= 1
        elif statement == "else":
            depth -= 1
            emit("else:")
            depth += 1
        else:
            emit(f"{statement}:")
            depth += 1
    emit(f"parts.append({template[end:]!r})")
    emit("return ''.join(parts)")
    names: dict[str, Any] = {"escape": escape}
    exec("\n".join(lines), names)
    render: Render = names["render"]
    return render


def rows_of(page: int) -> list[dict[str, Any]]:
    return [
        {
            "number": row,
            "name": f"Entry <{row}> & more of page {page}",
            "amount": (page * 7 + row * 31) % 1000 / 3 - 50,
            "tags": [f"tag {tag}" for tag in range((row + page) % 5)],
        }
        for row in range(ROWS)
    ]


def main(scale: float) -> str:
    render = compiled(LAYOUT)
    characters, crc = 0, 0
    for page in range(max(1, round(PAGES * scale))):
        context = {"title": f"Report {page}", "theme": "dark", "rows": rows_of(page)}
        text = re.sub(r"\s*\n\s*", "\n", render(context))
        characters += len(text)
        crc = zlib.crc32(text.encode(), crc)
    return f"{characters} characters, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
