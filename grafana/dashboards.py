#!/usr/bin/env python3
"""Writes the dashboards in grafana/dashboards/. Edit here, then run it; tests/prometheus/run.py holds both equal.

    python3 grafana/dashboards.py            write them
    python3 grafana/dashboards.py --check    fail if they are not what this would write

Standard library only. The JSON is Grafana's dashboard schema 39 (Grafana 10.4 and later).
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
GREEN, YELLOW, RED = "green", "#EAB839", "red"
STATES = {"live": GREEN, "healing": YELLOW, "waiting": "blue", "refused": RED}

# What every expression is narrowed to.
I = 'instance=~"$instance"'
V = f'{I},venue=~"$venue"'
S = f'{I},shard=~"$shard"'
R = "$__rate_interval"


def rate(metric, labels, by):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{R}]))"


def quantile(q, metric, labels, by):
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[{R}])))"


def q(text, legend="", **more):
    """A query; `legend` in Grafana's notation."""
    return {"expr": text, "legendFormat": legend or "__auto", **more}


def quantiles(metric, labels, by, legend):
    return [q(quantile(level, metric, labels, by), f"p{name} {legend}".strip()) for level, name in ((0.5, "50"), (0.99, "99"))]


def steps(yellow=None, red=None, falling=False):
    """Thresholds; `falling`: small values are the bad ones."""
    if falling:
        between = [{"color": YELLOW, "value": red}] if red != yellow else []
        return [{"color": RED, "value": None}, *between, {"color": GREEN, "value": yellow}]
    found = [{"color": GREEN, "value": None}]
    found += [{"color": YELLOW, "value": yellow}] if yellow is not None else []
    return found + ([{"color": RED, "value": red}] if red is not None else [])


def panel(kind, title, text, unit, queries, width, height, thresholds, options, custom=None, **defaults):
    """A panel without its place."""
    targets = []
    for number, query in enumerate(queries):
        ref = chr(ord("A") + number)
        targets.append({"refId": ref, "datasource": SOURCE, "editorMode": "code", "range": True, **query})
    field = {"unit": unit, "color": {"mode": "palette-classic"}, "thresholds": {"mode": "absolute", "steps": thresholds}, **defaults}
    if custom:
        field["custom"] = custom
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options,
        "targets": targets,
    }


def stat(title, text, unit, query, thresholds, width=3, height=4, **defaults):
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    }
    defaults.setdefault("color", {"mode": "thresholds"})
    return panel("stat", title, text, unit, [query], width, height, thresholds, options, **defaults)


def lines(title, text, unit, queries, width=8, thresholds=None, stacked=False, log=False, colors=None, **defaults):
    """Time series. Thresholds are drawn as dashed lines where there are any."""
    custom = {
        "drawStyle": "line",
        "fillOpacity": 40 if stacked else 8,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": True,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    if not log:
        defaults.setdefault("min", 0)
    found = panel("timeseries", title, text, unit, queries, width, 8, thresholds or steps(), options, custom, **defaults)
    for name, color in (colors or {}).items():
        paint = {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
        found["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": name}, "properties": [paint]})
    return found


def heat(title, text, metric, labels, width=12):
    """How a histogram of seconds is spread over time."""
    query = q(f"sum by (le) (increase({metric}_bucket{{{labels}}}[{R}]))", "{{le}}", format="heatmap")
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "reverse": False, "exponent": 0.5, "fill": "dark-orange"},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
    }
    return panel("heatmap", title, text, "short", [query], width, 8, steps(), options)


def table(title, text, query, names, width=8):
    """The labels of the newest samples."""
    hidden = {name: True for name in ("Time", "Value", "__name__", "job")}
    found = panel("table", title, text, "none", [{**query, "format": "table", "instant": True, "range": False}], width, 8, steps(), {"showHeader": True, "cellHeight": "sm"})
    found["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden, "renameByName": names}}]
    return found


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def variable(name, label, query):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "Variable"},
        "definition": query,
        "refresh": 2,
        "sort": 3,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


VARIABLES = {
    "datasource": {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "current": {},
    },
    "instance": variable("instance", "Instance", "label_values(tickcast_build_info, instance)"),
    "venue": variable("venue", "Venue", f"label_values(tickcast_intake_connections{{{I}}}, venue)"),
    "shard": variable("shard", "Shard", f"label_values(tickcast_shard_sessions{{{I}}}, shard)"),
}


def dashboard(name, title, text, variables, panels):
    """Puts panels side by side as they fit, and numbers them."""
    x = y = tallest = 0
    for number, found in enumerate(panels, 1):
        place = found["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place.update(x=x, y=y)
        x, tallest = x + place["w"], max(tallest, place["h"])
        found["id"] = number
    return {
        "uid": f"tickcast-{name}",
        "title": f"Tickcast / {title}",
        "description": text,
        "tags": ["tickcast"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timepicker": {},
        "timezone": "",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": [
            {
                "title": "Tickcast",
                "type": "dashboards",
                "tags": ["tickcast"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "The other dashboards, with the same time and variables",
                "url": "",
            }
        ],
        "annotations": {
            "list": [
                {
                    "name": "Starts",
                    "datasource": SOURCE,
                    "enable": True,
                    "hide": False,
                    "iconColor": "blue",
                    "expr": f"changes(process_start_time_seconds{{job=\"tickcast\",{I}}}[2m]) > 0",
                    "titleFormat": "{{instance}} was started",
                }
            ]
        },
        "templating": {"list": [VARIABLES[name] for name in ("datasource", "instance", *variables)]},
        "panels": panels,
    }


def overview():
    return dashboard(
        "overview",
        "Overview",
        "Is it serving, is what it serves fresh, do clients get it in time.",
        ["venue"],
        [
            row("Now"),
            stat("Instances up", "Instances that answered the last scrape. Below the number you run: look at their logs and at /livez.", "none",
                 q('sum(up{job="tickcast",' + I + "})"), steps(1, 1, falling=True), decimals=0),
            stat("Alerts", "Tickcast alerts that fire now. Each has a chapter in docs/RUNBOOK.md.", "none",
                 q('count(ALERTS{alertname=~"Tickcast.*",alertstate="firing"}) or vector(0)'), steps(1, 2), decimals=0),
            stat("Books live", "Share of the books of listed instruments that are in step with the venue. Others are waiting for a snapshot or healing after a loss; nothing of them is published.", "percentunit",
                 q(f'sum(tickcast_book_state{{{V},state="live"}}) / sum(tickcast_book_state{{{V},state!="refused"}})'), steps(1, 0.9, falling=True), decimals=0),
            stat("Venue connections", "Connections open to venues. Zero for a venue: nothing comes from it.", "none",
                 q(f"sum(tickcast_intake_connections{{{V}}})"), steps(1, 1, falling=True), decimals=0),
            stat("Feed lag p99", "99 of 100 batches came within this time after the venue stamped them. Includes the difference of the two clocks, so a steady offset is not a delay.", "s",
                 q(f"max({quantile(0.99, 'tickcast_engine_feed_lag_seconds', V, 'venue')})"), steps(0.5, 2)),
            stat("Delivery p99", "99 of 100 passes wrote their first update within this time after its frame had been received. This is what Tickcast itself adds.", "s",
                 q(f"max({quantile(0.99, 'tickcast_shard_delivery_seconds', I, 'instance')})"), steps(0.05, 0.25)),
            stat("Sessions", "WebSocket sessions open, JSON and SBE.", "short", q(f"sum(tickcast_shard_sessions{{{I}}})"), steps()),
            stat("Deliveries", "Updates delivered per second: one for each update and session.", "cps",
                 q(f"sum(instance:tickcast_shard_deliveries:rate1m{{{I}}})"), steps()),
            row("Fresh and in time"),
            lines("Feed lag", "Receive time minus the venue's event time, by venue. A rise on one venue: its network or the venue itself. On all: our network, clock or CPU.", "s",
                  quantiles("tickcast_engine_feed_lag_seconds", V, "venue", "{{venue}}"), 12, steps(0.5, 2)),
            lines("Delivery latency", "From receiving a frame to writing its first update, sampled once per pass of a shard.", "s",
                  quantiles("tickcast_shard_delivery_seconds", I, "instance", "{{instance}}"), 12, steps(0.05, 0.25)),
            row("How much"),
            lines("In: frames", "Messages received from venues.", "cps", [q(rate("tickcast_intake_frames_total", V, "venue"), "{{venue}}")]),
            lines("Out: deliveries", "Updates delivered, one for each update and session.", "cps", [q(rate("tickcast_shard_deliveries_total", I, "instance"), "{{instance}}")]),
            lines("Out: bytes", "Bytes written to sessions, before TCP and IP headers, and before TLS.", "Bps", [q(rate("tickcast_shard_bytes_total", I, "instance"), "{{instance}}")]),
            row("Correct"),
            lines("Books by state", "live: in step. waiting: no snapshot yet. healing: something was lost, nothing is published until it is right again. refused: the venue does not have it.", "none",
                  [q(f"sum by (state) (tickcast_book_state{{{V}}})", "{{state}}")], stacked=True, colors=STATES),
            lines("Gaps and resyncs", "Holes found in book messages, and books joined again. Each gap should be followed by a resync within a second.", "cpm",
                  [q(f"60 * {rate('tickcast_book_gaps_total', V, 'venue')}", "gaps {{venue}}"), q(f"60 * {rate('tickcast_book_resyncs_total', V, 'venue')}", "resyncs {{venue}}")]),
            lines("Sessions closed for a fault", "Ends that somebody should know of: clients that read too slowly, break limits or the protocol, and sessions that we lost updates for.", "cpm",
                  [q(f"60 * {rate('tickcast_session_closes_total', I + ',reason!~' + chr(34) + 'client|lost|lifetime|shutdown' + chr(34), 'reason')}", "{{reason}}")]),
            row("What it costs"),
            lines("CPU by thread", "Share of one core that each thread uses. engine-N and shard-N near 1 are full: they cannot use a second core. Room above: more shards, or fewer symbols per process.", "percentunit",
                  [q(f"instance_thread:process_thread_cpu:rate1m{{{I}}}", "{{thread}}")], thresholds=steps(0.7, 0.9)),
            lines("Memory", "Resident memory of the process, and what waits for slow sessions of it.", "bytes",
                  [q(f'process_resident_memory_bytes{{job="tickcast",{I}}}', "resident {{instance}}"), q(f"sum by (instance) (tickcast_shard_queued_bytes{{{I}}})", "queued {{instance}}")]),
            table("Version", "What runs where.", q(f"tickcast_build_info{{{I}}}"), {"instance": "Instance", "version": "Version"}),
        ],
    )


def feeds():
    return dashboard(
        "feeds-and-books",
        "Feeds and books",
        "From the venues to the ring: connections, books, the ingest loop, history.",
        ["venue"],
        [
            row("Feeds"),
            lines("Frames", "Messages received from the venue.", "cps", [q(rate("tickcast_intake_frames_total", V, "venue"), "{{venue}}")]),
            lines("Bytes", "Payload of those messages.", "Bps", [q(rate("tickcast_intake_bytes_total", V, "venue"), "{{venue}}")]),
            lines("Connections", "Connections open to the venue. A successor is opened before its predecessor is closed, so that one more for a moment is usual.", "none",
                  [q(f"tickcast_intake_connections{{{V}}}", "{{venue}}")], decimals=0),
            heat("Feed lag", "How batches are spread over receive time minus the venue's event time. A second band means that one connection or one kind of message is late.", "tickcast_engine_feed_lag_seconds", V),
            lines("Leg lateness", "With `connections = 2` or more, and while a connection is being replaced: how much later than the first copy of a book message the one of this connection came. One leg high for long: that path is bad.", "s",
                  quantiles("tickcast_intake_leg_lateness_seconds", V, "venue, connection", "{{venue}} {{connection}}"), 12, steps(0.25, 1)),
            lines("Connects and disconnects", "Connections established and lost. Venues cut after 24 h; more than a few an hour is trouble on the way.", "cpm",
                  [q(f"60 * {rate('tickcast_intake_connects_total', V, 'venue')}", "connects {{venue}}"), q(f"60 * {rate('tickcast_intake_disconnects_total', V, 'venue')}", "disconnects {{venue}}")], width=12),
            lines("Frames refused", "Messages that could not be read, by reason. Any steady rate means that the venue has changed its format, or that something between us changes it.", "cpm",
                  [q(f"60 * {rate('tickcast_engine_refused_total', V, 'venue, reason')}", "{{venue}} {{reason}}")], width=12),
            row("Books"),
            lines("Books by state", "live: in step. waiting: no snapshot yet. healing: something was lost. refused: the venue does not have it.", "none",
                  [q(f"sum by (state) (tickcast_book_state{{{V}}})", "{{state}}")], stacked=True, colors=STATES),
            lines("Gaps and resyncs", "Holes found in book messages, and books joined again after one.", "cpm",
                  [q(f"60 * {rate('tickcast_book_gaps_total', V, 'venue')}", "gaps {{venue}}"), q(f"60 * {rate('tickcast_book_resyncs_total', V, 'venue')}", "resyncs {{venue}}")]),
            lines("Proof age", "How long ago the venue proved the least recently proved live book: by a snapshot, or by a checksum where it sends those. Without checksums a book is carried on by its ids, so this grows with the age of the connection.", "s",
                  [q(f"tickcast_book_proof_age_seconds{{{V}}}", "{{venue}}")]),
            lines("Checksums", "Book messages that had the venue's checksum, and those that had not: such a book is asked for again at once.", "cps",
                  [q(rate("tickcast_book_checksums_total", V, "venue"), "right {{venue}}"), q(rate("tickcast_book_checksum_failures_total", V, "venue"), "wrong {{venue}}")]),
            lines("Crossed", "Times a book was found crossed. Nothing is published of it; after a second it is replaced.", "cpm",
                  [q(f"60 * {rate('tickcast_book_crossed_total', V, 'venue')}", "{{venue}}")]),
            lines("Trades", "Holes in the ids of trades, what was fetched again, what stayed lost, and what came after its candle had been told.", "cpm",
                  [q(f"60 * {rate(f'tickcast_engine_{metric}_total', V, 'venue')}", f"{name} {{{{venue}}}}")
                   for metric, name in (("trade_holes", "holes"), ("trades_refilled", "refilled"), ("trades_lost", "lost"), ("trades_late", "late"))]),
            row("Ingest loop"),
            lines("Pass", "How long the engine takes for what came at once. It is one thread: a p99 near the time between frames means that it falls behind.", "s",
                  quantiles("tickcast_engine_pass_seconds", I, "engine", "engine {{engine}}"), thresholds=steps(0.01, 0.1)),
            lines("Frames per pass", "How many frames wait together. 1 or 2: idle. Rising with the same rate of frames: the loop is late.", "short",
                  quantiles("tickcast_engine_pass_frames", I, "engine", "engine {{engine}}")),
            lines("Events and updates", "Events decoded from frames, and updates published into the ring for the shards.", "cps",
                  [q(rate("tickcast_engine_events_total", V, "venue"), "events {{venue}}"), q(rate("tickcast_engine_updates_total", V, "venue"), "updates {{venue}}")]),
            row("REST of the venues, and history"),
            lines("Weight in this minute", "REST weight used at the venue, which bans an address that uses too much. We stop at intake.rest_weight_percent of what it allows.", "none",
                  [q(f"tickcast_intake_rest_weight{{{V}}}", "{{venue}}")]),
            lines("Weight by purpose", "What the weight is used for, per minute: lost trades first, then books, then history.", "none",
                  [q(f"60 * {rate('tickcast_intake_rest_weight_total', V, 'venue, purpose')}", "{{venue}} {{purpose}}")], stacked=True),
            lines("Requests and failures", "REST requests, and those that brought no usable answer; each is tried again.", "cpm",
                  [q(f"60 * {rate('tickcast_intake_rest_requests_total', V, 'venue')}", "requests {{venue}}"), q(f"60 * {rate('tickcast_intake_rest_failures_total', V, 'venue')}", "failures {{venue}}")]),
            lines("Requests that wait", "REST requests that wait for their turn. `book` above zero for long: weight is short, and books stay in healing.", "none",
                  [q(f"tickcast_intake_rest_waiting{{{V}}}", "{{venue}} {{purpose}}")], stacked=True),
            lines("History to fetch", "Requests for candles and trades that are not answered yet, of those that are wanted since the start. Falls to zero after a start.", "none",
                  [q(f"tickcast_engine_history_pending{{{V}}}", "pending {{venue}}"), q(f"tickcast_engine_history_wanted{{{V}}}", "wanted {{venue}}")]),
            lines("Time of a commit", "How long a commit of history takes. Slow ones cost nothing but memory, until candles have to give way.", "s",
                  quantiles("tickcast_store_commit_seconds", I, "instance", "{{instance}}")),
            lines("Commits", "Commits of history; one each store.commit_interval_ms is usual.", "cps", [q(rate("tickcast_store_commits_total", I, "instance"), "{{instance}}")], width=6),
            lines("Size of history", "What is kept, and the file, which doubles as it grows.", "bytes",
                  [q(f"tickcast_store_bytes{{{I}}}", "in use {{instance}}"), q(f"tickcast_store_file_bytes{{{I}}}", "file {{instance}}")], width=6),
            lines("Rows of history", "Candles and trades kept.", "short", [q(f"tickcast_store_rows{{{I}}}", "{{instance}}")], width=6),
            lines("Trouble with history", "All of these stay at zero: reads and commits that failed, times the store fell behind the ring, rows that gave way in memory, rows whose decimals changed, files set aside.", "none",
                  [q(f"sum by (instance) (increase(tickcast_store_{name}_total{{{I}}}[{R}]))", f"{name} {{{{instance}}}}") for name in ("failures", "lapped", "dropped", "left_out", "set_aside")], width=6),
            row("Recording"),
            stat("Recording", "Whether this process records what venues send.", "none", q(f"max(tickcast_recording_active{{{I}}})"), steps(), 4, 8,
                 mappings=[{"type": "value", "options": {"0": {"text": "no", "color": "text", "index": 0}, "1": {"text": "yes", "color": GREEN, "index": 1}}}]),
            lines("Recorded", "Messages handed to the recording, and what was left out because the disk was behind: each is a hole in it.", "cps",
                  [q(rate("tickcast_recording_frames_total", I, "instance"), "messages {{instance}}"), q(rate("tickcast_recording_dropped_total", I, "instance"), "left out {{instance}}")], 10),
            lines("Recorded bytes", "Bytes handed to the recording, before compression.", "Bps", [q(rate("tickcast_recording_bytes_total", I, "instance"), "{{instance}}")], 10),
        ],
    )


def fanout():
    return dashboard(
        "fan-out",
        "Fan-out",
        "From the ring to the sockets: shards, latency, slow sessions.",
        ["shard"],
        [
            row("In time"),
            heat("Delivery latency", "How passes are spread over the time from receiving a frame to writing its first update.", "tickcast_shard_delivery_seconds", S),
            lines("Delivery latency by shard", "The same as quantiles. One shard high: its sessions or its core. All high: the ingest loop, or the machine.", "s",
                  quantiles("tickcast_shard_delivery_seconds", S, "shard", "shard {{shard}}"), 12, steps(0.05, 0.25)),
            lines("Ring lag", "Batches published and not yet read, by reader. Views and store look every 50 ms, so a few are usual for them; a shard should be near zero.", "none",
                  [q(f"tickcast_ring_lag_batches{{{I}}}", "{{reader}}")]),
            lines("Laps", "Times a reader fell a whole ring behind, and batches that it never saw. A lapped shard closes the sessions that cannot do without.", "none",
                  [q(f"sum by (reader) (increase(tickcast_ring_laps_total{{{I}}}[{R}]))", "laps {{reader}}"), q(f"sum by (reader) (increase(tickcast_ring_missed_total{{{I}}}[{R}]))", "missed batches {{reader}}")]),
            lines("CPU of shards", "Share of one core. A shard is one thread; near 1 it is full, and server.shards should grow.", "percentunit",
                  [q(f'instance_thread:process_thread_cpu:rate1m{{{I},thread=~"shard-.*|engine-.*|intake"}}', "{{thread}}")], thresholds=steps(0.7, 0.9)),
            row("How much"),
            lines("Deliveries", "Updates delivered, one for each update and session.", "cps", [q(rate("tickcast_shard_deliveries_total", S, "shard"), "shard {{shard}}")]),
            lines("Bytes", "Bytes written to sessions.", "Bps", [q(rate("tickcast_shard_bytes_total", S, "shard"), "shard {{shard}}")]),
            lines("Writes", "Writes to sessions. Each costs the kernel microseconds, which is nearly all that a delivery costs.", "cps", [q(rate("tickcast_shard_writes_total", S, "shard"), "shard {{shard}}")]),
            lines("Deliveries per write", "How well updates are batched. Rises with load by itself, which is how a full shard keeps up.", "short",
                  [q(f"{rate('tickcast_shard_deliveries_total', S, 'shard')} / ({rate('tickcast_shard_writes_total', S, 'shard')} > 0)", "shard {{shard}}")]),
            lines("Frames encoded", "Updates made into bytes, once per shard and wire form, whoever many get them.", "cps", [q(rate("tickcast_shard_encoded_total", S, "shard"), "shard {{shard}}")]),
            lines("Deliveries per frame", "How many sessions share one encoded frame: what a fan-out is for.", "short",
                  [q(f"{rate('tickcast_shard_deliveries_total', S, 'shard')} / ({rate('tickcast_shard_encoded_total', S, 'shard')} > 0)", "shard {{shard}}")]),
            row("Slow sessions"),
            lines("Slow sessions", "Sessions that do not read as fast as we send: bytes wait for them.", "none", [q(f"tickcast_shard_slow_sessions{{{S}}}", "shard {{shard}}")]),
            lines("Bytes that wait", "Memory that slow sessions hold, session.outbox_bytes_max each at most.", "bytes", [q(f"tickcast_shard_queued_bytes{{{S}}}", "shard {{shard}}")], stacked=True),
            lines("Conflated and merged", "What slow sessions did not get one by one: of prices only the newest was kept, diffs of a book became one. Their books stay right.", "cps",
                  [q(rate("tickcast_shard_conflated_total", S, "shard"), "conflated {{shard}}"), q(rate("tickcast_shard_merged_total", S, "shard"), "merged {{shard}}")]),
            row("Who is where"),
            lines("Sessions", "Sessions by shard: new ones go to the shard with the fewest.", "none", [q(f"tickcast_shard_sessions{{{S}}}", "shard {{shard}}")], 12, stacked=True),
            lines("Subscriptions", "Streams that open sessions follow.", "short", [q(f"tickcast_shard_subscriptions{{{S}}}", "shard {{shard}}")], 12, stacked=True),
        ],
    )


def clients():
    return dashboard(
        "clients-and-limits",
        "Clients and limits",
        "Who comes, who is sent away and why, which limits are reached.",
        [],
        [
            row("Now"),
            stat("Sessions", "WebSocket sessions open, JSON and SBE.", "short", q(f"sum(tickcast_shard_sessions{{{I}}})"), steps(), 4),
            stat("Subscriptions", "Streams that they follow.", "short", q(f"sum(tickcast_shard_subscriptions{{{I}}})"), steps(), 4),
            stat("WS-API connections", "Connections at /ws-api/v3; ws_api.connections_max at most.", "none", q(f"sum(tickcast_server_ws_api_connections{{{I}}})"), steps(), 4, decimals=0),
            stat("In the handshake or in REST", "Connections that are with the doors; server.pending_max and server.rest_connections_max at most.", "none", q(f"sum(tickcast_server_pending{{{I}}}) + sum(tickcast_server_rest_connections{{{I}}})"), steps(), 4, decimals=0),
            stat("Descriptors used", "Share of the file descriptors that the process may open: every connection is one.", "percentunit",
                 q(f'max(process_open_fds{{job="tickcast",{I}}} / process_max_fds{{job="tickcast",{I}}})'), steps(0.7, 0.85), 4, decimals=1),
            stat("Configuration", "Whether the last change of the configuration was taken over. Refused: the one before holds on, and the log says what is wrong.", "none",
                 q(f"min(tickcast_config_last_reload_successful{{{I}}})"), steps(1, 1, falling=True), 4,
                 mappings=[{"type": "value", "options": {"0": {"text": "refused", "color": RED, "index": 0}, "1": {"text": "in force", "color": GREEN, "index": 1}}}]),
            row("Coming and going"),
            lines("Connections", "Accepted at the doors, and made WebSockets. The difference is REST, refusals and connections that said nothing.", "cps",
                  [q(rate("tickcast_server_accepted_total", I, "instance"), "accepted {{instance}}"), q(rate("tickcast_server_upgrades_total", I, "instance"), "upgraded {{instance}}")]),
            lines("Sessions closed", "Ends of sessions by reason. client and lost are theirs; slow_consumer, too_* and protocol are clients to talk to; lapped is us.", "cpm",
                  [q(f"60 * {rate('tickcast_session_closes_total', I, 'reason')}", "{{reason}}")], stacked=True),
            lines("Refused at the door", "Handshakes and requests refused, by reason. pending, rest, shards and ws_api: this instance is full. connects, rest_address and weight: one address asks too much. tls: no handshake came about.", "cpm",
                  [q(f"60 * {rate('tickcast_server_refused_total', I, 'reason')}", "{{reason}}")], stacked=True),
            row("Limits"),
            lines("Limits reached", "Times a client met a configured limit, by the key in config/default.toml.", "cpm",
                  [q(f"60 * {rate('tickcast_server_limits_total', I, 'limit')}", "{{limit}}")], 12, stacked=True),
            lines("Slow sessions", "Sessions for which bytes wait, and how much in all.", "none",
                  [q(f"sum by (instance) (tickcast_shard_slow_sessions{{{I}}})", "sessions {{instance}}")], 6),
            lines("Accept errors", "Accepts that failed; out of descriptors, mostly.", "cpm", [q(f"60 * {rate('tickcast_server_accept_errors_total', I, 'instance')}", "{{instance}}")], 6),
            row("Requests"),
            lines("REST answers", "By HTTP status. 429: an address used its weight up. 418: it went on asking and is banned for a while.", "cps", [q(rate("tickcast_server_rest_answers_total", I, "status"), "{{status}}")], 12, stacked=True),
            lines("WS-API answers", "By the status in the answer.", "cps", [q(rate("tickcast_server_ws_api_answers_total", I, "status"), "{{status}}")], 12, stacked=True),
            row("Process"),
            lines("Descriptors", "Open, and the most that may be.", "none", [q(f'process_open_fds{{job="tickcast",{I}}}', "open {{instance}}"), q(f'process_max_fds{{job="tickcast",{I}}}', "most {{instance}}")], log=True),
            lines("Memory", "Resident and virtual. A healthy session costs less than a kilobyte; slow ones hold what waits for them.", "bytes",
                  [q(f'process_resident_memory_bytes{{job="tickcast",{I}}}', "resident {{instance}}"), q(f'process_virtual_memory_bytes{{job="tickcast",{I}}}', "virtual {{instance}}")], log=True),
            lines("CPU", "Of the whole process, in cores.", "none", [q(f'sum by (instance) (rate(process_cpu_seconds_total{{job="tickcast",{I}}}[{R}]))', "{{instance}}")]),
            stat("Up for", "Time since the process was started.", "dtdurations", q(f'time() - max(process_start_time_seconds{{job="tickcast",{I}}})'), steps(), 8, decimals=0),
            stat("Configuration taken over", "Time since the configuration in force was taken over.", "dtdurations", q(f"time() - max(tickcast_config_last_reload_timestamp_seconds{{{I}}})"), steps(), 8, decimals=0),
            stat("Reloads refused", "Changes of the configuration that were refused in the last day.", "none",
                 q(f'sum(increase(tickcast_config_reloads_total{{{I},result="refused"}}[1d]))'), steps(1, 3), 8, decimals=0),
        ],
    )


def main():
    wrong = []
    for name, made in (("overview", overview()), ("feeds-and-books", feeds()), ("fan-out", fanout()), ("clients-and-limits", clients())):
        path, text = FOLDER / f"{name}.json", json.dumps(made, indent=2) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(path.name)
    if wrong:
        raise SystemExit(f"grafana/dashboards.py writes something else than {', '.join(wrong)}: run it, or move the change into it")


if __name__ == "__main__":
    main()
