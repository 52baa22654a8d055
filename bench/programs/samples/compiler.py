"""A compiler's front end: tokens, syntax trees, scopes and types of a program in a small language.

Nodes know their parents, symbols where they are declared, and names what they mean: a module is one
large cycle. All modules are kept until the last one is checked, as a linker would need them.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MODULES = 80
FUNCTIONS = 60

TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>\w+)|(?P<mark>==|->|[-+*<(){}:;,=]))")
LEVELS = {"==": 1, "<": 2, "+": 3, "-": 3, "*": 4}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int


class Node:
    def __init__(self, kind: str, text: str, parent: Node | None) -> None:
        self.kind, self.text, self.parent = kind, text, parent
        self.children: list[Node] = []
        self.symbol: Symbol | None = None
        self.type = "?"
        if parent is not None:
            parent.children.append(self)


class Symbol:
    def __init__(self, name: str, type: str, node: Node) -> None:
        self.name, self.type, self.node = name, type, node
        self.uses: list[Node] = []
        node.symbol = self


class Scope:
    def __init__(self, parent: Scope | None) -> None:
        self.parent, self.symbols = parent, dict[str, Symbol]()
        self.inner: list[Scope] = []
        if parent is not None:
            parent.inner.append(self)

    def find(self, name: str) -> Symbol | None:
        found = self.symbols.get(name)
        return self.parent.find(name) if found is None and self.parent else found


def tokens(source: str) -> Iterator[Token]:
    for match in TOKEN.finditer(source):
        kind = match.lastgroup or ""
        yield Token(kind, match[kind], match.start(kind))
    yield Token("end", "", len(source))


class Parser:
    """Recursive descent, with precedence climbing for what binary operators join."""

    def __init__(self, source: str) -> None:
        self.tokens, self.at = list(tokens(source)), 0

    def take(self, text: str = "") -> Token:
        token = self.tokens[self.at]
        if text and token.text != text:
            raise SyntaxError(f"expected {text!r}, found {token.text!r} at {token.at}")
        self.at += 1
        return token

    def sees(self, text: str) -> bool:
        return self.tokens[self.at].text == text

    def module(self, name: str) -> Node:
        node = Node("module", name, None)
        while self.sees("fn"):
            self.function(node)
        return node

    def function(self, parent: Node) -> None:
        self.take("fn")
        node = Node("function", self.take().text, parent)
        self.take("(")
        while not self.sees(")"):
            parameter = Node("parameter", self.take().text, node)
            self.take(":")
            parameter.type = self.take().text
            if not self.sees(")"):
                self.take(",")
        self.take(")")
        self.take("->")
        node.type = self.take().text
        self.block(node)

    def block(self, parent: Node) -> None:
        node = Node("block", "", parent)
        self.take("{")
        while not self.sees("}"):
            self.statement(node)
        self.take("}")

    def statement(self, parent: Node) -> None:
        word = self.take().text
        if word in ("if", "while"):
            node = Node(word, "", parent)
            self.expression(node)
            self.block(node)
            if word == "if" and self.sees("else"):
                self.take()
                self.block(node)
            return
        if word == "return":
            node = Node(word, "", parent)
        elif word == "let":
            node = Node(word, self.take().text, parent)
            self.take("=")
        else:
            node = Node("assign", word, parent)
            self.take("=")
        self.expression(node)
        self.take(";")

    def expression(self, parent: Node, least: int = 1) -> Node:
        left = self.primary(parent)
        while LEVELS.get(operator := self.tokens[self.at].text, 0) >= least:
            self.take()
            parent.children.pop()
            node = Node("binary", operator, parent)
            node.children.append(left)
            left.parent = node
            self.expression(node, LEVELS[operator] + 1)
            left = node
        return left

    def primary(self, parent: Node) -> Node:
        token = self.take()
        if token.text == "(":
            node = self.expression(parent)
            self.take(")")
            return node
        if token.kind != "name" or not self.sees("("):
            return Node(token.kind, token.text, parent)
        node = Node("call", token.text, parent)
        self.take("(")
        while not self.sees(")"):
            self.expression(node)
            if not self.sees(")"):
                self.take(",")
        self.take(")")
        return node


class Checker:
    """Declares names in scopes, finds what they mean, and gives every expression its type."""

    def __init__(self) -> None:
        self.globals = Scope(None)
        self.errors: list[str] = []

    def module(self, node: Node) -> None:
        for function in node.children:
            self.globals.symbols[function.text] = Symbol(function.text, function.type, function)
        for function in node.children:
            scope = Scope(self.globals)
            *parameters, body = function.children
            for parameter in parameters:
                scope.symbols[parameter.text] = Symbol(parameter.text, parameter.type, parameter)
            self.block(body, scope, function.type)

    def block(self, node: Node, scope: Scope, returns: str) -> None:
        scope = Scope(scope)
        for statement in node.children:
            value, *blocks = statement.children
            found = self.type_of(value, scope)
            if statement.kind == "let":
                scope.symbols[statement.text] = Symbol(statement.text, found, statement)
            elif statement.kind == "assign":
                self.expect(self.use(statement, scope), found, statement)
            else:
                self.expect(returns if statement.kind == "return" else "bool", found, statement)
            for block in blocks:
                self.block(block, scope, returns)

    def type_of(self, node: Node, scope: Scope) -> str:
        types = [self.type_of(child, scope) for child in node.children]
        if node.kind == "number":
            node.type = "int"
        elif node.kind == "binary":
            for found in types:
                self.expect("int", found, node)
            node.type = "bool" if node.text in ("<", "==") else "int"
        else:
            node.type = self.use(node, scope)
            if node.kind == "call" and node.symbol:
                wanted = [each.type for each in node.symbol.node.children[:-1]]
                self.expect(", ".join(wanted), ", ".join(types), node)
        return node.type

    def use(self, node: Node, scope: Scope) -> str:
        node.symbol = scope.find(node.text)
        if node.symbol is None:
            self.errors.append(f"{node.text} is not declared")
            return "?"
        node.symbol.uses.append(node)
        return node.symbol.type

    def expect(self, wanted: str, found: str, node: Node) -> None:
        if wanted != found:
            self.errors.append(f"{node.kind} {node.text}: {found} is not {wanted}")


def source_of(module: int) -> str:
    """Functions that call those before them; a few have mistakes in them."""
    parts = []
    for number in range(FUNCTIONS):
        name = f"f{module}_{number}"
        called = f"f{max(module - number % 2, 0)}_{max(number - 1, 0)}"
        limit = "limit" if number % 17 else "limits"
        parts.append(f"""
fn {name}(count: int, wide: bool) -> int {{
    let limit = count * {number} + (count - {module}) * 2;
    let total = 0;
    if {limit} < count + {number} {{
        let step = total + count * count - 1;
        total = {called}(step, total < limit) + step * 3;
    }} else {{
        total = {called if number else name}(limit - 1, wide) - 4;
    }}
    while total < limit * {number + 2} {{
        let before = total;
        total = before + {name}(before - count, count == limit) * (limit + before);
        if before == total {{ let total = wide; wide = total; }}
    }}
    return total + limit{" < 1" if number % 23 == 5 else ""};
}}""")
    return "".join(parts)


def walk(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    yield depth, node
    for child in node.children:
        yield from walk(child, depth + 1)


def main(scale: float) -> str:
    checker = Checker()
    modules = []
    for number in range(max(1, round(MODULES * scale))):
        module = Parser(source_of(number)).module(f"m{number}")
        checker.module(module)
        modules.append(module)
    nodes, crc = 0, 0
    for module in modules:
        for depth, node in walk(module):
            nodes += 1
            crc = zlib.crc32(f"{depth}{node.kind}{node.text}{node.type}".encode(), crc)
    return f"{nodes} nodes, {len(checker.errors)} errors, {crc:08x}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    print(main(parser.parse_args().scale))
