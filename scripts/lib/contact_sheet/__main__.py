"""Draws every panel of the dashboards as its queries answer now, one PNG a dashboard.

scripts/contact-sheet.sh calls it in an environment of its own. Exits 1 where something that should answer does not.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from queries import Asker, Postgres, Prometheus, Unanswered


def draw(sheet, asker, panel, postgres):
    """Draws one panel; answers what is wrong with it, if anything."""
    if "rawSql" in panel["targets"][0] and postgres is None:
        sheet.said(panel, "not drawn: DATABASE_URL is not set")
        return "not drawn"
    try:
        if panel["type"] == "table":
            columns, rows = asker.table(panel)
            empty = not rows
        elif panel["type"] == "stat" and "rawSql" in panel["targets"][0]:
            columns, rows = asker.table(panel)
            lines = [(columns[0], [(asker.end, float(rows[0][0]))])]
            empty = False
        else:
            lines = asker.series(panel)
            empty = not any(value == value for _, points in lines for _, value in points)
    except Unanswered as error:
        sheet.said(panel, str(error))
        return str(error)
    if empty:
        sheet.said(panel, "no data")
        return "no data"
    if panel["type"] == "table":
        sheet.table(panel, columns, rows)
    elif panel["type"] == "stat":
        sheet.number(panel, lines)
    elif panel["type"] == "state-timeline":
        sheet.timeline(panel, lines)
    else:
        sheet.lines(panel, lines)
    return None


def main():
    parser = argparse.ArgumentParser(prog="contact-sheet.sh")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("dashboards", nargs="+", type=Path)
    arguments = parser.parse_args()
    # Said before matplotlib is loaded, which takes seconds.
    from drawing import Sheet

    database_url = os.environ.get("DATABASE_URL", "")
    try:
        prometheus = Prometheus(os.environ.get("PROMETHEUS_URL") or "http://localhost:9090")
        postgres = Postgres(database_url) if database_url else None
        asker = Asker(prometheus, postgres, arguments.minutes * 60, time.time())
    except Unanswered as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for path in arguments.dashboards:
        dashboard = json.loads(path.read_text())
        asker.read_variables(dashboard)
        sheet = Sheet(dashboard, asker.start, asker.end)
        panels, faults = 0, 0
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                sheet.row(panel)
                continue
            panels += 1
            fault = draw(sheet, asker, panel, postgres)
            if fault == "not drawn" or fault == "no data":
                faults += arguments.strict
            elif fault:
                faults += 1
            if fault:
                print(f"{path.name}: {panel['title']}: {fault}", file=sys.stderr)
        picture = arguments.out / f"{path.stem}.png"
        sheet.save(picture)
        wrong += faults
        print(f"{picture}: {panels} panels")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
