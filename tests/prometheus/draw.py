#!/usr/bin/env python3
"""Draws the dashboards with the results of their queries, as far as a plotting library goes; run.py --draw calls it.

    python3 draw.py DATA FOLDER

What Grafana itself makes of the JSON these pictures do not show. Its own Python types parse it here, too.
"""

import json
import math
import sys
from datetime import datetime, timezone
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from grafana_foundation_sdk.models.dashboard import Dashboard
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullFormatter
from PIL import Image

DASHBOARDS = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"
BACK, FRONT, INK, DIM, GRID = "#111217", "#181b1f", "#d8d9da", "#8e9196", "#2c3235"
LINES = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#5794f2", "#ffb357", "#96d98d", "#c4162a", "#ca95e5", "#37872d"]
NAMED = {"green": "#73bf69", "red": "#f2495c", "blue": "#5794f2", "text": INK}
CELL, LINE = 0.52, 0.30  # inches of a column and of a row of the grid
DPI = 72
STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]


def main():
    told = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for path in sorted(DASHBOARDS.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        parsed = Dashboard.from_json(json.loads(text))
        board = json.loads(text)
        if parsed.uid != board["uid"] or len(parsed.panels) != len(board["panels"]):
            raise SystemExit(f"draw: Grafana's types read something else out of {path.name}")
        whole(board, told, Path(sys.argv[2]) / f"{path.stem}.png")


def whole(board, told, file):
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    width, height = 24 * CELL, rows * LINE + 0.5
    figure = plt.figure(figsize=(width, height), facecolor=BACK)
    figure.text(0.1 / width, 1 - 0.33 / height, board["title"], color=INK, fontsize=13, weight="bold")
    figure.text(1 - 0.1 / width, 1 - 0.33 / height, "drawn from the dashboard's JSON and real query results, not by Grafana", color=DIM, fontsize=8, ha="right")
    for panel in board["panels"]:
        place = panel["gridPos"]
        top = height - 0.5 - place["y"] * LINE
        box = [place["x"] * CELL, top - place["h"] * LINE, place["w"] * CELL, place["h"] * LINE]
        if panel["type"] == "row":
            figure.text(0.1 / width, (box[1] + 0.08) / height, "▾ " + panel["title"], color=INK, fontsize=10)
            continue
        frame = figure.add_axes([(box[0] + 0.04) / width, (box[1] + 0.04) / height, (box[2] - 0.08) / width, (box[3] - 0.08) / height])
        frame.set_facecolor(FRONT)
        frame.set(xticks=[], yticks=[])
        for side in frame.spines.values():
            side.set_color(GRID)
        frame.text(0.07 / box[2], 1 - 0.19 / box[3], panel["title"], color=INK, fontsize=8.5, transform=frame.transAxes)
        if panel["type"] == "stat":
            number(panel, told, frame)
            continue
        inner = figure.add_axes([(box[0] + 0.62) / width, (box[1] + 0.62) / height, (box[2] - 0.8) / width, (box[3] - 0.98) / height])
        inner.set_facecolor(FRONT)
        {"timeseries": lines, "heatmap": heat, "table": table}[panel["type"]](panel, told, inner)
    figure.savefig(file, dpi=DPI, facecolor=BACK)
    plt.close(figure)
    # A palette does for lines and words, and keeps the repository small. By coverage: a thin line must not take its neighbour's colour.
    Image.open(file).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)


def results(panel, told):
    """Each series with its legend."""
    for target in panel["targets"]:
        text = target["expr"]
        for name, value in told["variables"].items():
            text = text.replace(name, value)
        for series in told["data"][text]:
            legend = target["legendFormat"]
            if legend == "__auto":
                legend = ", ".join(f"{key}={value}" for key, value in series["metric"].items() if key != "__name__") or panel["title"]
            for key, value in series["metric"].items():
                legend = legend.replace("{{" + key + "}}", value)
            points = [(time, float(value)) for time, value in series["values"]]
            yield legend.strip(), [(time, value) for time, value in points if math.isfinite(value)], series


def number(panel, told, axes):
    series = [points for _, points, _ in results(panel, told) if points]
    found = [points[-1][1] for points in series]
    defaults = panel["fieldConfig"]["defaults"]
    if not found:
        axes.text(0.5, 0.45, "no data", color=DIM, fontsize=14, ha="center", va="center", transform=axes.transAxes)
        return
    value = found[-1]
    color = next((NAMED.get(step["color"], step["color"]) for step in reversed(defaults["thresholds"]["steps"]) if step["value"] is None or value >= step["value"]), INK)
    text = written(value, defaults["unit"], defaults.get("decimals"))
    for mapping in defaults.get("mappings", []):
        option = mapping["options"].get(f"{value:g}")
        if option:
            text, color = option["text"], NAMED.get(option["color"], option["color"])
    axes.text(0.5, 0.5, text, color=color, fontsize=16, weight="bold", ha="center", va="center", transform=axes.transAxes)
    times, values = zip(*series[-1])
    low, high = min(values), max(values)
    if high > low:
        heights = [(value - low) / (high - low) * 0.25 for value in values]
        across = [(time - times[0]) / (times[-1] - times[0]) for time in times]
        axes.fill_between(across, 0, heights, color=color, alpha=0.25, lw=0)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def lines(panel, told, axes):
    field = panel["fieldConfig"]["defaults"]
    drawn = [(legend, points) for legend, points, _ in results(panel, told) if points]
    if len(drawn) > 8:
        # Series that stay at zero would take the colours away from the others.
        drawn = [one for one in drawn if any(value for _, value in one[1])] + [one for one in drawn if not any(value for _, value in one[1])]
    fixed = {override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"] for override in panel["fieldConfig"]["overrides"]}
    color = lambda at, legend: NAMED.get(fixed.get(legend), fixed.get(legend)) or LINES[at % len(LINES)]
    stacked = field["custom"]["stacking"]["mode"] == "normal"
    scale(axes, told, field["unit"])
    if stacked:
        floor = {}
        for at, (legend, points) in enumerate(drawn):
            below = [floor.get(time, 0) for time, _ in points]
            above = [low + value for low, (_, value) in zip(below, points)]
            times = [when(time) for time, _ in points]
            axes.fill_between(times, below, above, color=color(at, legend), alpha=0.45, lw=0, label=legend)
            floor.update(zip((time for time, _ in points), above))
    else:
        for at, (legend, points) in enumerate(drawn):
            axes.plot([when(time) for time, _ in points], [value for _, value in points], color=color(at, legend), lw=1.1, label=legend)
    is_binary = field["unit"] in ("bytes", "Bps")
    if field["custom"]["scaleDistribution"]["type"] == "log":
        # Whole powers, so that there is a word at the edges.
        base = 4 if is_binary else 10
        values = [value for _, points in drawn for _, value in points if value > 0] or [1]
        axes.set_yscale("log", base=base)
        axes.set_ylim(base ** math.floor(math.log(min(values), base)), base ** math.ceil(math.log(max(values) * 1.01, base)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, field["unit"])))
        axes.tick_params(which="minor", length=0)
    else:
        top = axes.get_ylim()[1]
        top = top if any(value for _, points in drawn for _, value in points) else 1
        # A little below zero, so that a line there is seen.
        axes.set_ylim(-0.01 * top, top)
        axes.yaxis.set_major_locator(Binary() if is_binary else MaxNLocator(5))
        if field["custom"]["thresholdsStyle"]["mode"] == "dashed":
            for step in field["thresholds"]["steps"]:
                if step["value"] is not None and step["value"] <= axes.get_ylim()[1]:
                    axes.axhline(step["value"], color=NAMED.get(step["color"], step["color"]), lw=0.8, ls="--")
    labels(axes, drawn)


def labels(axes, drawn):
    """A legend below, of those that have something to say first."""
    handles, names = axes.get_legend_handles_labels()
    size = {legend: max((value for _, value in points), default=0) for legend, points in drawn}
    order = sorted(range(len(names)), key=lambda at: -size.get(names[at], 0)) if len(names) > 6 else range(len(names))
    wide = axes.get_position().width > 0.35
    most = min(len(names), 6 if wide else 4)
    shown = list(order)[:most]
    texts = [names[at] if len(names[at]) < 30 else names[at][:28] + "…" for at in shown]
    if len(names) > most:
        texts[-1] += f"  (+{len(names) - most})"
    if shown:
        is_long = max(map(len, texts)) > 14
        columns = (3 if is_long else 6) if wide else 2 if is_long else 4
        axes.legend([handles[at] for at in shown], texts, loc="upper left", bbox_to_anchor=(-0.5 / (axes.get_position().width * 24 * CELL), -0.13), ncol=columns, fontsize=6.5, frameon=False, labelcolor=DIM, handlelength=1.0, columnspacing=1.0, borderpad=0, labelspacing=0.25)


def heat(panel, told, axes):
    buckets = {}
    for _, points, series in results(panel, told):
        buckets[float(series["metric"]["le"])] = dict(points)
    edges = sorted(buckets)
    times = sorted({time for points in buckets.values() for time in points})
    counts, below = [], [0.0] * len(times)
    for edge in edges:
        upto = [buckets[edge].get(time, 0.0) for time in times]
        counts.append([max(0.0, now - before) ** 0.5 or math.nan for now, before in zip(upto, below)])
        below = upto
    # Only the buckets between the lowest and the highest that anything fell into.
    filled = [at for at, row in enumerate(counts) if any(value == value for value in row)]
    scale(axes, told, "s")
    if not filled:
        return
    low, high = filled[0], filled[-1] + 1
    seconds = told["window"]["step"]
    axes.pcolormesh([when(time) for time in times] + [when(times[-1] + seconds)], range(low, high + 1), counts[low:high], cmap="inferno")
    axes.set_yticks([at + 1 for at in range(low, high)], [written(edge, "s") if math.isfinite(edge) else "more" for edge in edges[low:high]])


def table(panel, told, axes):
    axes.axis("off")
    names = panel["transformations"][0]["options"]["renameByName"]
    for row, (_, _, series) in enumerate(results(panel, told)):
        for column, (label, name) in enumerate(names.items()):
            if row == 0:
                axes.text(column * 0.5, 0.9, name, color="#8ab8ff", fontsize=9, transform=axes.transAxes)
            axes.text(column * 0.5, 0.74 - row * 0.14, series["metric"].get(label, ""), color=INK, fontsize=9, transform=axes.transAxes)


def scale(axes, told, unit):
    axes.set_xlim(when(told["window"]["start"]), when(told["window"]["end"]))
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    axes.tick_params(colors=DIM, labelsize=6.5, length=0, pad=2)
    axes.grid(color=GRID, lw=0.6)
    for side in axes.spines.values():
        side.set_visible(False)


def when(time):
    return datetime.fromtimestamp(time, timezone.utc)


class Binary(Locator):
    """Round numbers of KiB, MiB and so on: at most five of them."""

    def __call__(self):
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, low, high):
        power = 1024 ** math.floor(math.log(max(high, 1), 1024))
        step = next(step for step in (round(scale * power) or 1 for scale in STEPS) if high / step <= 5)
        return [step * at for at in range(math.floor(high / step) + 1)]


def written(value, unit, decimals=None):
    """As Grafana writes it, about."""
    if unit == "dtdurations":
        return f"{value // 60:.0f} min {value % 60:.0f} s" if value >= 60 else f"{value:.0f} s"
    if unit == "percentunit":
        return f"{value * 100:.{decimals or 0}f}%"
    if unit == "s":
        for limit, factor, name in ((1, 1e6 if value < 1e-3 else 1e3, "µs" if value < 1e-3 else "ms"), (120, 1, "s"), (math.inf, 1 / 60, "min")):
            if value < limit:
                return f"{value * factor:.3g} {name}"
    if unit in ("bytes", "Bps"):
        for name in ("B", "KiB", "MiB", "GiB", "TiB"):
            if value < 1024 or name == "TiB":
                return f"{value:.3g} {name}" + ("/s" if unit == "Bps" else "")
            value /= 1024
    tail = {"cps": " c/s", "cpm": " c/m"}.get(unit, "")
    if unit == "none":
        return f"{value:.{decimals}f}" if decimals is not None else f"{value:.6g}"
    for limit, name in ((1e9, " G"), (1e6, " M"), (1e3, " K")):
        if value >= limit:
            return f"{value / limit:.3g}{name}{tail}"
    return f"{value:.3g}{tail}"


if __name__ == "__main__":
    main()
