#!/usr/bin/env python3
"""Turns a terminal's screen, as `tmux capture-pane -e -p` prints it, into an SVG on stdout.

The text stays text: it can be selected and searched. The picture has its own background, and colors for light and for dark
surroundings. It refers to nothing outside itself. The only argument is the title.
"""

import re
import sys
from html import escape

COLUMN, ROW, SIZE, MARGIN, BAR = 8.0, 19, 13, 16, 30
SGR = re.compile(r"\x1b\[([0-9;]*)m")
OTHER = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b[()][A-Z0-9]|[\x0e\x0f]")
NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
LIGHT = {"back": "#ffffff", "edge": "#d0d7de", "text": "#1f2328", "dim": "#656d76", "red": "#cf222e", "green": "#116329",
         "yellow": "#7d4e00", "blue": "#0550ae", "magenta": "#8250df", "cyan": "#1b7c83"}
DARK = {"back": "#0d1117", "edge": "#30363d", "text": "#e6edf3", "dim": "#8b949e", "red": "#ff7b72", "green": "#3fb950",
        "yellow": "#d29922", "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#56d4dd"}
FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'


def style():
    def rules(colors):
        lines = [f"rect {{ fill: {colors['back']}; stroke: {colors['edge']} }} circle {{ fill: {colors['edge']} }}"]
        lines += [f"text {{ fill: {colors['text']} }} .title {{ fill: {colors['dim']} }}"]
        lines += [f".{name} {{ fill: {color} }}" for name, color in colors.items() if name not in ("back", "edge", "text")]
        return "\n".join(lines)

    general = f"text {{ font: {SIZE}px {FONT}; white-space: pre }}\n.title {{ text-anchor: middle }} .bold {{ font-weight: bold }}"
    return f"{general}\n{rules(LIGHT)}\n@media (prefers-color-scheme: dark) {{\n{rules(DARK)}\n}}"


def pieces(line):
    """Yields (column, text, classes) for each run of characters with the same look."""
    look, column = {}, 0
    parts = SGR.split(OTHER.sub("", line))
    for index, part in enumerate(parts):
        if index % 2:
            apply(look, [int(code or 0) for code in part.split(";")])
        elif part:
            yield column, part, [name for name in look.values() if name]
            column += len(part)


def apply(look, codes):
    while codes:
        code = codes.pop(0)
        if code == 0:
            look.clear()
        elif code == 1:
            look["weight"] = "bold"
        elif code == 2:
            look["dim"] = "dim"
        elif code == 22:
            look.pop("weight", None)
            look.pop("dim", None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            name = NAMES[code % 10]
            look["color"] = "dim" if name in ("black", "white") else name
        elif code == 38 and codes[:1] == [5]:
            number = codes[1]
            del codes[:2]
            look["color"] = NAMES[number % 8] if number < 16 else None
        elif code == 39:
            look.pop("color", None)


def main():
    lines = [line.rstrip() for line in sys.stdin.read().splitlines()]
    while lines and SGR.sub("", lines[-1]).strip() in ("", "$"):
        lines.pop()
    widest = max(len(SGR.sub("", line)) for line in lines)
    width, height = 2 * MARGIN + widest * COLUMN, BAR + 2 * MARGIN + len(lines) * ROW - 6
    title = escape(sys.argv[1])
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" xml:space="preserve">')
    print(f"<title>{title}</title>\n<style>\n{style()}\n</style>")
    print(f'<rect x=".5" y=".5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>')
    print("".join(f'<circle cx="{20 + 18 * n}" cy="17" r="5.5"/>' for n in range(3)))
    print(f'<text class="title" x="{width / 2:g}" y="22">{title}</text>')
    for row, line in enumerate(lines):
        spans, end = [], 0
        for column, text, classes in pieces(line):
            kind = f' class="{" ".join(classes)}"' if classes else ""
            # Each word group has its own place: not every viewer keeps spaces, and fonts differ in width.
            for group in re.finditer(r"\S+(?: \S+)*", text):
                start, words = column + group.start(), group.group()
                x, length = MARGIN + start * COLUMN, len(words) * COLUMN
                spans.append(" " * (start - end))
                spans.append(f'<tspan x="{x:g}" textLength="{length:g}"{kind}>{escape(words, quote=False)}</tspan>')
                end = start + len(words)
        if spans:
            print(f'<text y="{BAR + MARGIN + row * ROW + SIZE - 4:g}">{"".join(spans)}</text>')
    print("</svg>")


main()
