#!/usr/bin/env python3
"""Draws a comparison with two axes as stacked bars, one panel per value of the first axis:

    paceline compare first-question --json | docs/images/stacked_bars.py > docs/images/first-question.svg
"""
import json
import sys
from html import escape

PARTS = [  # what is added up, colour, name
    (("forward_s", "backward_s"), "#2b6cb0", "compute"),
    (("update_s", "sparsification_s", "arithmetic_s"), "#63b3ed", "update and the schedule's operations"),
    (("exposed_communication_s", "exposed_copies_s"), "#dd6b20", "exposed communication"),
    (("waiting_s",), "#a0aec0", "waiting"),
]
LABEL, BAR, VALUE, ROW, GAP, MARGIN = 130, 430, 170, 22, 34, 16


def panel(rows, top, out):
    """Bars of one panel share a scale: the longest fills the width."""
    longest = max(row["result"]["iteration_time_s"] for row in rows)
    for i, row in enumerate(rows):
        result, y, x = row["result"], top + i * ROW, MARGIN + LABEL
        out.append(f'<text x="{x - 8}" y="{y + 14}" text-anchor="end">{escape(row["labels"][1])}</text>')
        for keys, colour, _ in PARTS:
            width = BAR * sum(result["time"][key] for key in keys) / longest
            if width > 0.05:
                out.append(f'<rect x="{x:.2f}" y="{y + 2}" width="{width:.2f}" height="{ROW - 6}" fill="{colour}"/>')
            x += width
        out.append(f'<text x="{x + 6:.2f}" y="{y + 14}">{1e3 * result["iteration_time_s"]:.0f} ms, '
                   f'{100 * result["scaling_efficiency"]:.0f} % efficiency</text>')


def main():
    comparison = json.load(sys.stdin)
    panels = {}
    for row in comparison["rows"]:
        panels.setdefault(row["labels"][0], []).append(row)
    out, y = [], MARGIN + 4
    x = MARGIN
    for _, colour, name in PARTS:
        out.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>'
                   f'<text x="{x + 17}" y="{y + 11}">{escape(name)}</text>')
        x += 40 + 7 * len(name)
    y += 30
    for title, rows in panels.items():
        out.append(f'<text x="{MARGIN}" y="{y + 12}" font-weight="bold">{escape(title)}</text>')
        panel(rows, y + 20, out)
        y += 20 + ROW * len(rows) + GAP - 14
    width = MARGIN * 2 + LABEL + BAR + VALUE
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" '
          'font-family="sans-serif" font-size="12" fill="#1a202c">')
    print(f'<rect width="{width}" height="{y}" fill="#ffffff"/>')
    print("\n".join(out))
    print("</svg>")


main()
