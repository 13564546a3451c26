#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the --json of bench/bench into the table of docs/performance.md, between its two marker lines.

bench_table.py RESULT.json [docs/performance.md]; without the second argument the table goes to stdout."""
import json
import statistics
import sys

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
WORK = {
    "rp-small": "reverse proxy, 1 KiB, kept alive", "rp-64k": "reverse proxy, 64 KiB", "rp-large": "reverse proxy, 10 MiB",
    "conn-rate": "a connection for each request of 1 KiB", "fwd-http": "forward proxy, absolute target, 1 KiB",
    "connect-rate": "a new CONNECT tunnel and one request", "connect-bulk": "10 MiB through a CONNECT tunnel",
    "idle-mem": "an idle kept connection",
    "cache-1k": "a hit in memory, 1 KiB", "cache-64k": "a hit in memory, 64 KiB", "cache-64k-tls": "the same over TLS",
    "tls-rp": "TLS 1.3 in front, 1 KiB, kept alive", "tls-handshake": "a TLS 1.3 handshake for each request", "tls-large": "TLS 1.3 in front, 10 MiB",
    "h2-rp": "HTTP/2 over TLS in front, 1 KiB", "gzip": "64 KiB of JSON, compressed",
}
BULK = {"rp-large", "connect-bulk", "tls-large"}


def figure(scenario, runs):
    """The median of the runs, and its unit."""
    if scenario == "idle-mem":
        return statistics.median(r["bytes_per_conn"] for r in runs), "bytes"
    if scenario in BULK:
        return statistics.median(r["ms_per_gib"] for r in runs), "ms/GiB"
    return statistics.median(r["us_per_req"] for r in runs), "µs"


def show(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def row(scenario, results, failed):
    values = {name: figure(scenario, runs) for name, runs in results.items() if runs}
    unit = next(iter(values.values()))[1] if values else ""
    floors = [v for n, (v, _) in values.items() if n.startswith("limit-")]
    peers = sorted((v, n) for n, (v, _) in values.items() if not n.startswith("limit-") and n != "weir")
    weir = values.get("weir", (None,))[0]
    cells = [WORK.get(scenario, scenario), unit, show(min(floors)) if floors else ""]
    cells.append(show(weir) if weir is not None else "failed" if "weir" in failed else "")
    cells.append(f"{weir / min(floors):.2f}" if weir is not None and floors and min(floors) > 0 else "")
    cells.append(f"{weir / peers[0][0]:.2f}" if weir is not None and peers and peers[0][0] > 0 else "")
    cells.append(", ".join(f"{n} {show(v)}" for v, n in peers))
    return "| " + " | ".join(cells) + " |"


def table(result):
    lines = [
        f"Measured {result['started'][:10]} on Linux {result['kernel']}, median of {result['runs']} runs of {result['seconds']:g} s each.",
        "CPU time of the proxy (for the last row: resident memory); less is better.",
        "",
        "| work | unit | floor | weir | ÷ floor | ÷ best peer | peers |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [row(s, r, result.get("failed", {}).get(s, {})) for s, r in result["scenarios"].items()]
    versions = {n: v for n, v in result["versions"].items() if not n.startswith("limit-")}
    lines += ["", "Versions: " + "; ".join(f"{n}: {v}" for n, v in sorted(versions.items())) + "."]
    return "\n".join(lines)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = table(json.load(f))
    if len(sys.argv) < 3:
        print(text)
        return 0
    with open(sys.argv[2], encoding="utf-8") as f:
        page = f.read()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{sys.argv[2]} lacks the lines {BEGIN} and {END}", file=sys.stderr)
        return 1
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
    return 0


sys.exit(main())
