# SPDX-License-Identifier: Apache-2.0
"""embed.py OUT FILE...: the files of the dashboard as a C table, so that the program needs none beside it."""
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def main(out, *files):
    lines = ["// SPDX-License-Identifier: Apache-2.0", "// Written by embed.py.", '#include "proxy/dashboard.h"', ""]
    rows = []
    for i, f in enumerate(map(pathlib.Path, files)):
        data = f.read_bytes()
        lines.append(f"static const unsigned char file_{i}[] = {{")
        lines += ["    " + ",".join(map(str, data[k:k + 32])) + "," for k in range(0, len(data), 32)]
        lines.append("};")
        path = "/" if f.name == "index.html" else f"/{f.name}"
        rows.append(f'    {{SPAN_INIT("{path}"), SPAN_INIT("{TYPES[f.suffix]}"), SPAN_INIT("\\"{hashlib.sha256(data).hexdigest()[:32]}\\""), {{(const char *)file_{i}, sizeof file_{i}}}}},')
    lines += ["const struct dashboard_file dashboard_files[] = {", *rows, "};", f"const unsigned dashboard_n_files = {len(rows)};", ""]
    pathlib.Path(out).write_text("\n".join(lines))


main(*sys.argv[1:])
