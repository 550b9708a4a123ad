#!/usr/bin/python3
"""Draws what "t/cluster/run scale" measured: t/cluster/plot.py SCALE.json >
docs/images/scaling.svg.  Each round is a dot, the line goes through the
medians; dashed is what as many times the first would be."""

import json
import statistics
import sys

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 56

INK, FAINT, OURS, IDEAL = "#24292f", "#d0d7de", "#0969da", "#8c959f"


class Axes:
    def __init__(self, most_x, most_y):
        self.most_x, self.most_y = most_x, most_y
        self.parts = []

    def place(self, x, y):
        return (LEFT + x / self.most_x * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - y / self.most_y * (HEIGHT - TOP - BOTTOM))

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, anchor="middle", **attributes):
        more = "".join(f' {name.replace("_", "-")}="{value}"'
                       for name, value in attributes.items())
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
                 f'{more}>{text}</text>')

    def line(self, points, colour, dashes=""):
        places = " ".join("{:.1f},{:.1f}".format(*self.place(*point))
                          for point in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.add(f'<polyline points="{places}" fill="none" stroke="{colour}"'
                 f' stroke-width="2"{dashed}/>')

    def dot(self, x, y, colour, radius=3):
        x, y = self.place(x, y)
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
                 f' fill="{colour}"/>')

    def grid(self, xs, step):
        y = 0
        while y <= self.most_y:
            self.add('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"'
                     ' stroke="{}"/>'.format(*self.place(0, y),
                                             *self.place(self.most_x, y),
                                             FAINT))
            self.text(LEFT - 8, self.place(0, y)[1] + 4, str(y), "end")
            y += step
        for x in xs:
            self.text(self.place(x, 0)[0], HEIGHT - BOTTOM + 20, str(x))

    def svg(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH}'
            f' {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
            f' font-family="sans-serif" font-size="13" fill="{INK}">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *self.parts, "</svg>"])


def main():
    with open(sys.argv[1]) as source:
        rounds = json.load(source)
    rates = {}
    busy = {}
    for result in (result for results in rounds for result in results):
        rates.setdefault(result["converters"], []).append(
            result["per_minute"])
        busy.setdefault(result["converters"], []).append(
            result["machine_busy"])
    counts = sorted(rates)
    medians = [(count, statistics.median(rates[count])) for count in counts]
    ideal = [(count, count * medians[0][1] / counts[0]) for count in counts]

    highest = max(rate for _, rate in ideal + medians)
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 2000)
                if highest / step <= 8)
    axes = Axes(counts[-1] + 0.5, (highest // step + 1) * step)
    axes.grid(counts, step)
    axes.line([(0, 0)] + ideal, IDEAL, "6 4")
    axes.line(medians, OURS)
    for count in counts:
        for rate in rates[count]:
            axes.dot(count, rate, OURS)
        x, y = axes.place(count, statistics.median(rates[count]))
        axes.text(x, y + 20, f"{statistics.median(busy[count]):.0%}",
                  font_size=11, fill=IDEAL)

    axes.text(WIDTH / 2, 22, "Short videos a minute by converters of a"
              " quarter of a core each", font_size=15)
    axes.text(WIDTH / 2, HEIGHT - 14, "converters; below the line: how busy"
              " the machine's cores were with everything")
    x, y = axes.place(*ideal[-1])
    axes.text(x - 8, y - 8, "in proportion", "end", fill=IDEAL)
    print(axes.svg())


if __name__ == "__main__":
    main()
