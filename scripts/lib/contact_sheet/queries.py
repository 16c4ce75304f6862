"""What a dashboard asks, asked as Grafana would: variables and macros filled in, Prometheus and Postgres answering.

Knows nothing of pictures. Panels come back as rows of (time, value) by legend, or as a table.
"""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

# Grafana's: the width of a half-wide panel in pixels is about the points that it asks for.
POINTS_MAX = 200
WAIT_SECONDS = 20


class Unanswered(Exception):
    """A query that was refused, or a server that is not there; the text says which and why."""


class Prometheus:
    """The HTTP API of one Prometheus."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{query}", timeout=WAIT_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            try:
                said = json.load(error).get("error", "")
            except ValueError:
                said = error.reason
            raise Unanswered(f"Prometheus answers {error.code}: {said}") from error
        except (OSError, ValueError, KeyError) as error:
            raise Unanswered(f"no Prometheus at {self.url}: {error}") from error

    def scrape_seconds(self):
        """The scrape interval, which $__rate_interval is made from."""
        text = self.get("/api/v1/status/config")["yaml"]
        found = re.search(r"scrape_interval: (?:(\d+)m)?(?:(\d+)s)?", text)
        return (int(found[1] or 0) * 60 + int(found[2] or 0) or 15) if found else 15


class Postgres:
    """A connection that reads, for the panels in SQL; None where there is no DATABASE_URL."""

    def __init__(self, url):
        # Imported here: who draws no panel in SQL need not have it.
        import psycopg

        try:
            self.connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.Error as error:
            # Its words hold host and database, never the password.
            raise Unanswered(f"no database at DATABASE_URL: {str(error).strip()}") from error
        self.connection.read_only = True

    def rows(self, text):
        import psycopg

        try:
            with self.connection.cursor() as cursor:
                cursor.execute(text)
                return [column.name for column in cursor.description], cursor.fetchall()
        except psycopg.Error as error:
            raise Unanswered(f"Postgres says: {str(error).strip()}") from error


class Asker:
    """Fills in one dashboard's variables and asks its panels' queries over one range of time."""

    def __init__(self, prometheus, postgres, seconds, now):
        self.prometheus, self.postgres = prometheus, postgres
        self.end = now
        self.start = now - seconds
        scrape = prometheus.scrape_seconds()
        self.step = max(math.ceil(seconds / POINTS_MAX), scrape)
        self.rate_interval = max(self.step + scrape, 4 * scrape)
        self.values = {}

    def read_variables(self, dashboard):
        """All values of every variable: what "All" stands for."""
        for variable in dashboard["templating"]["list"]:
            name = variable["name"]
            if variable["type"] != "query":
                continue
            if variable["datasource"]["type"] == "prometheus":
                asked = re.fullmatch(r"label_values\((.+), *(\w+)\)", variable["query"]["query"])
                if not asked:
                    raise Unanswered(f"variable {name}: only label_values(series, label) is understood")
                path = f"/api/v1/label/{asked[2]}/values"
                window = {"start": self.start, "end": self.end}
                self.values[name] = self.prometheus.get(path, **{"match[]": asked[1]}, **window)
            elif self.postgres:
                self.values[name] = [str(row[0]) for row in self.postgres.rows(variable["query"])[1]]

    def promql(self, expression):
        for name, values in self.values.items():
            pattern = "|".join(re.sub(r"([\\^$*+?.()|{}\[\]])", r"\\\\\1", value) for value in values)
            expression = expression.replace(f"${name}", f"({pattern})" if len(values) != 1 else pattern)
        for name, value in (
            ("$__rate_interval", f"{self.rate_interval}s"),
            ("$__range", f"{int(self.end - self.start)}s"),
        ):
            expression = expression.replace(name, value)
        return complete(expression)

    def sql(self, text):
        for name, values in self.values.items():
            quoted = ",".join("'" + value.replace("'", "''") + "'" for value in values)
            text = text.replace(f"${name}", quoted)
        begin, end = (
            "'" + datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") + "'"
            for at in (self.start, self.end)
        )
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {begin} AND {end}", text)
        text = text.replace("$__timeFrom()", begin).replace("$__timeTo()", end)
        return complete(text)

    def series(self, panel):
        """The panel's lines, as (legend, [(seconds, value)])."""
        lines = []
        for target in panel["targets"]:
            if "rawSql" in target:
                lines += sql_lines(*self.postgres.rows(self.sql(target["rawSql"])))
                continue
            window = {"start": self.start, "end": self.end, "step": self.step}
            answer = self.prometheus.get("/api/v1/query_range", query=self.promql(target["expr"]), **window)
            for found in answer["result"]:
                points = [(float(at), float(value)) for at, value in found["values"]]
                lines.append((legend(target["legendFormat"], found["metric"]), points))
        return lines

    def table(self, panel):
        """The panel's table, as (names of its columns, rows)."""
        if "rawSql" in panel["targets"][0]:
            return self.postgres.rows(self.sql(panel["targets"][0]["rawSql"]))
        frames = []
        for target in panel["targets"]:
            answer = self.prometheus.get("/api/v1/query", query=self.promql(target["expr"]), time=self.end)
            value = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
            frames.append([{**found["metric"], value: float(found["value"][1])} for found in answer["result"]])
        return organized(merged(frames), panel)


def complete(text):
    """Refuses what still holds a variable: it would be asked as text."""
    left = re.search(r"\$\w+|\$\{", text)
    if left:
        raise Unanswered(f"{left[0]} stands for nothing here")
    return text


def legend(template, labels):
    if template == "__auto":
        return ", ".join(f"{name}={value}" for name, value in labels.items() if name != "__name__")
    return re.sub(r"\{\{ *(\w+) *\}\}", lambda found: labels.get(found[1], ""), template)


def sql_lines(columns, rows):
    """Lines of a long table: `time`, perhaps `metric`, then values."""
    lines = {}
    for row in rows:
        named = dict(zip(columns, row))
        at, metric = named.pop("time").timestamp(), named.pop("metric", None)
        for column, value in named.items():
            lines.setdefault(metric if metric is not None else column, []).append((at, float(value)))
    return list(lines.items())


def merged(frames):
    """Rows of several queries that agree in the labels that all of them have, made one."""
    names = [{name for found in frame for name in found if not name.startswith("Value")} for frame in frames]
    shared = sorted(set.intersection(*names)) if names else []
    rows = {}
    for frame in frames:
        for nth, found in enumerate(frame):
            # One query's rows stay apart from each other, whatever they share.
            key = tuple(found.get(name) for name in shared) if len(frames) > 1 else nth
            rows.setdefault(key, {}).update(found)
    return list(rows.values())


def organized(rows, panel):
    """Columns left out and renamed, as the panel's transformations and overrides say."""
    left_out, renamed, order = {}, {}, {}
    for transformation in panel.get("transformations", []):
        if transformation["id"] == "organize":
            left_out = transformation["options"]["excludeByName"]
            renamed = transformation["options"]["renameByName"]
            order = transformation["options"]["indexByName"]
    for override in panel["fieldConfig"]["overrides"]:
        for change in override["properties"]:
            if change["id"] == "displayName":
                renamed = {**renamed, override["matcher"]["options"]: change["value"]}
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in left_out]
    columns.sort(key=lambda name: order.get(name, len(order)))
    return [renamed.get(name, name) for name in columns], [[row.get(name) for name in columns] for row in rows]
