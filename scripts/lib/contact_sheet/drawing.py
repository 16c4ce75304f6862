"""The panels of one dashboard on one sheet, where Grafana would put them. Knows nothing of queries."""

import math
from datetime import datetime

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402

COLUMNS = 24
# Inches of a cell of Grafana's grid.
CELL_WIDTH, CELL_HEIGHT = 0.9, 0.42
DOTS_PER_INCH = 80
LEGEND_MAX = 8
TABLE_ROWS_MAX = 14
COLOURS = {"green": "#2e8b57", "orange": "#e08a00", "red": "#c8322b"}


def scaled(value, base, units):
    """A number with the largest unit that leaves it over 1."""
    size = 0
    while abs(value) >= base and size + 1 < len(units):
        value, size = value / base, size + 1
    return f"{value:.3g}{units[size]}"


def seconds(value):
    if abs(value) >= 86_400:
        return f"{value / 86_400:.3g} d"
    if abs(value) >= 3_600:
        return f"{value / 3_600:.3g} h"
    if abs(value) >= 600:
        return f"{value / 60:.3g} min"
    return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{value * 1000:.3g} ms"


UNITS = {
    "s": seconds,
    "ms": lambda value: seconds(value / 1000),
    "percentunit": lambda value: f"{value * 100:.3g} %",
    "short": lambda value: scaled(value, 1000, ["", " K", " Mil"]),
    "cps": lambda value: scaled(value, 1000, ["", " K"]) + " c/s",
    "reqps": lambda value: scaled(value, 1000, ["", " K"]) + " req/s",
    "bytes": lambda value: scaled(value, 1024, [" B", " KiB", " MiB", " GiB"]),
    "bool_on_off": lambda value: "on" if value else "off",
}


def colour(value, thresholds):
    """The colour of the highest step that the value reaches."""
    reached = [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return COLOURS.get(reached[-1], reached[-1])


def finite(points):
    return [(at, value) for at, value in points if math.isfinite(value)]


class Sheet:
    """A picture that grows panel by panel."""

    def __init__(self, dashboard, start, end):
        self.start, self.end = start, end
        self.rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) + 1
        self.figure = plt.figure(figsize=(COLUMNS * CELL_WIDTH, self.rows * CELL_HEIGHT), dpi=DOTS_PER_INCH)
        self.figure.suptitle(dashboard["title"], x=0.005, y=1 - 0.2 / self.rows, ha="left", va="top", fontsize=14)

    def axes(self, place, margins):
        """Axes within a panel's place; margins are left, right, top and bottom, in cells."""
        left, right, top, bottom = margins
        return self.figure.add_axes(
            (
                (place["x"] + left) / COLUMNS,
                1 - (place["y"] + 1 + place["h"] - bottom) / self.rows,
                (place["w"] - left - right) / COLUMNS,
                (place["h"] - top - bottom) / self.rows,
            )
        )

    def row(self, panel):
        y = 1 - (panel["gridPos"]["y"] + 1.7) / self.rows
        self.figure.text(0.005, y, panel["title"], fontsize=12, weight="bold", color="#444444")

    def heading(self, panel):
        place = panel["gridPos"]
        x, y = (place["x"] + 0.15) / COLUMNS, 1 - (place["y"] + 1 + 0.75) / self.rows
        self.figure.text(x, y, panel["title"], fontsize=9, weight="bold")

    def said(self, panel, text):
        """A sentence in place of a picture."""
        self.heading(panel)
        axes = self.axes(panel["gridPos"], (0.2, 0.2, 1.2, 0.3))
        axes.axis("off")
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, color="#777777", wrap=True)

    def lines(self, panel, lines):
        self.heading(panel)
        defaults = panel["fieldConfig"]["defaults"]
        unit, custom = UNITS[defaults["unit"]], defaults["custom"]
        shown = sorted(lines, key=lambda line: -max((value for _, value in finite(line[1])), default=0))
        entries = min(len(shown), LEGEND_MAX + 1)
        height = panel["gridPos"]["h"]
        axes = self.axes(panel["gridPos"], (0.9, 0.25, 1.1, 0.8 + min(entries * 0.42, height * 0.45)))
        stacked = custom["stacking"]["mode"] == "normal"
        if stacked:
            self.stack(axes, shown, custom)
        else:
            for name, points in shown:
                points = finite(points)
                marker = "o" if len(points) == 1 else None
                times = [datetime.fromtimestamp(at) for at, _ in points]
                axes.plot(times, [value for _, value in points], linewidth=1, marker=marker, markersize=3, label=name)
        self.scale(axes, defaults, custom)
        axes.set_xlim(datetime.fromtimestamp(self.start), datetime.fromtimestamp(self.end))
        axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(maxticks=6))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axes.yaxis.set_major_formatter(lambda value, _: unit(value))
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        handles, _ = axes.get_legend_handles_labels()
        names = [self.entry(name, points, unit) for name, points in shown[:LEGEND_MAX]]
        if len(shown) > LEGEND_MAX:
            axes.plot([], [], alpha=0)
            names.append(f"and {len(shown) - LEGEND_MAX} more")
            handles = [*handles[:LEGEND_MAX], axes.lines[-1]]
        step = min(0.42, height * 0.45 / max(len(names), 1))
        for at, (handle, name) in enumerate(zip(handles, names)):
            y = 1 - (panel["gridPos"]["y"] + 1 + height - 0.05 - (len(names) - 1 - at) * step) / self.rows
            x = (panel["gridPos"]["x"] + 0.5) / COLUMNS
            tint = handle.get_color() if hasattr(handle, "get_color") else handle[0].get_facecolor()
            self.figure.text(x, y, "■ ", fontsize=7, color=tint, va="bottom")
            self.figure.text(x + 0.25 / COLUMNS, y, name, fontsize=7, va="bottom")

    def scale(self, axes, defaults, custom):
        """The values' axis, and the thresholds that fall within it: in Grafana too they do not stretch it."""
        top = defaults.get("max")
        bottom, highest = axes.get_ylim()
        if axes.dataLim.y1 == 0:
            highest = custom.get("axisSoftMax", 1)
        if custom["scaleDistribution"]["type"] == "log":
            axes.set_yscale("log")
        else:
            bottom = defaults.get("min", bottom)
            whole = defaults["unit"] == "short" and highest > 5
            axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=whole))
        highest = top * 1.03 if top is not None else max(highest, custom.get("axisSoftMax", highest))
        axes.set_ylim(bottom=None if axes.get_yscale() == "log" else bottom, top=highest)
        if custom["thresholdsStyle"]["mode"] == "off":
            return
        for step in defaults["thresholds"]["steps"][1:]:
            if step["value"] <= highest:
                tint = COLOURS.get(step["color"], step["color"])
                axes.axhline(step["value"], linestyle="--", linewidth=0.8, color=tint)

    def stack(self, axes, lines, custom):
        """Bars or areas on top of each other."""
        times = sorted({at for _, points in lines for at, _ in finite(points)})
        below = dict.fromkeys(times, 0.0)
        width = min((b - a for a, b in zip(times, times[1:])), default=60) * 0.8 / 86_400
        dates = [datetime.fromtimestamp(at) for at in times]
        palette = plt.get_cmap("tab20").colors
        for nth, (name, points) in enumerate(lines):
            known, tint = dict(finite(points)), palette[nth % len(palette)]
            values, bottoms = [known.get(at, 0.0) for at in times], [below[at] for at in times]
            if custom["drawStyle"] == "bars":
                axes.bar(dates, values, width=width, bottom=bottoms, color=tint, label=name)
            else:
                tops = [bottom + value for bottom, value in zip(bottoms, values)]
                axes.fill_between(dates, bottoms, tops, color=tint, alpha=0.6)
                axes.plot(dates, tops, color=tint, linewidth=0.8, label=name)
            below = {at: below[at] + value for at, value in zip(times, values)}

    def entry(self, name, points, unit):
        values = [value for _, value in finite(points)]
        return f"{name}   last {unit(values[-1])}   max {unit(max(values))}" if values else f"{name}   no number"

    def number(self, panel, lines):
        """A stat: the last value, large, over its line."""
        self.heading(panel)
        defaults = panel["fieldConfig"]["defaults"]
        axes = self.axes(panel["gridPos"], (0.2, 0.2, 1.0, 0.2))
        axes.axis("off")
        points = finite(lines[0][1])
        value = points[-1][1]
        tint = colour(value, defaults["thresholds"])
        if len(points) > 1:
            axes.fill_between([at for at, _ in points], [value for _, value in points], color=tint, alpha=0.15)
        text = UNITS[defaults["unit"]](value)
        axes.text(0.5, 0.55, text, transform=axes.transAxes, ha="center", va="center", fontsize=18, color=tint)

    def table(self, panel, columns, rows):
        self.heading(panel)
        axes = self.axes(panel["gridPos"], (0.2, 0.2, 1.2, 0.2))
        axes.axis("off")
        named = {}
        for override in panel["fieldConfig"]["overrides"]:
            changes = {change["id"]: change["value"] for change in override["properties"]}
            named[changes.get("displayName", override["matcher"]["options"])] = changes

        def cell(column, value):
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                return "–"
            unit = named.get(column, {}).get("unit", panel["fieldConfig"]["defaults"]["unit"])
            return str(value) if isinstance(value, str) else UNITS[unit](float(value))

        texts = [[cell(column, value) for column, value in zip(columns, row)] for row in rows[:TABLE_ROWS_MAX]]
        drawn = axes.table(cellText=texts, colLabels=columns, loc="upper center", cellLoc="left", edges="horizontal")
        drawn.auto_set_font_size(False)
        drawn.set_fontsize(7)
        for at, row in enumerate(rows[:TABLE_ROWS_MAX]):
            for column, (name, value) in enumerate(zip(columns, row)):
                if "thresholds" in named.get(name, {}) and isinstance(value, (int, float)) and math.isfinite(value):
                    tint = colour(value, named[name]["thresholds"])
                    drawn[at + 1, column].get_text().set_color(tint)

    def timeline(self, panel, lines):
        """Coloured bars, one line a series."""
        self.heading(panel)
        axes = self.axes(panel["gridPos"], (4.2, 0.2, 1.1, 0.8))
        for nth, (_, points) in enumerate(lines):
            for (at, value), (until, _) in zip(points, [*points[1:], (self.end, 0)]):
                tint = colour(value, panel["fieldConfig"]["defaults"]["thresholds"])
                begin, end = (matplotlib.dates.date2num(datetime.fromtimestamp(when)) for when in (at, until))
                axes.broken_barh([(begin, end - begin)], (nth - 0.4, 0.8), color=tint)
        axes.set_yticks(range(len(lines)), [name for name, _ in lines])
        axes.set_xlim(datetime.fromtimestamp(self.start), datetime.fromtimestamp(self.end))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axes.tick_params(labelsize=7)

    def save(self, path):
        self.figure.savefig(path)
        plt.close(self.figure)
