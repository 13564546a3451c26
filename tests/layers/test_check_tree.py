# SPDX-License-Identifier: Apache-2.0
"""scripts/check_tree finds what it is there to find: each rule is shown a tree that keeps it and trees that break it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_tree"
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
LAYERS = "# SPDX-License-Identifier: Apache-2.0\nbase:\nhttp: base\nnet: base # and no more\n"
GOOD = {
    "LAYERS": LAYERS,
    "src/base/a.h": SPDX,
    "src/http/a.c": SPDX + '#include <string.h>\n#include "base/a.h"\n#include "http/b.h"\n// free() is base\'s\n'
                           'void a(struct x *x) { x->free(x); mem_free("malloc(1)"); }\n',
    "tests/unit/http/test_a.c": SPDX + '#include "http/b.h"\n',
}


def check(rule, more):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **more}.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, SCRIPT, "--root", folder, rule], capture_output=True, text=True)
    return done.returncode, done.stdout


class CheckTree(unittest.TestCase):
    def good(self, rule, more=()):
        self.assertEqual(check(rule, dict(more)), (0, ""))

    def bad(self, rule, name, text, finding):
        status, out = check(rule, {name: text})
        self.assertEqual(status, 1)
        self.assertIn(finding, out)

    def test_a_clean_tree(self):
        for rule in ("layers", "pure", "licence", "paths", "banned", "twice", "rows", "named"):
            self.good(rule)

    def test_layers(self):
        self.bad("layers", "src/http/x.c", SPDX + '\n  # include "net/a.h"\n', "src/http/x.c:3: http may not include net/a.h")
        self.bad("layers", "src/base/x.h", '#include "http/b.h"\n', "src/base/x.h:1")
        self.bad("layers", "src/http/x.c", '#include "../net/a.h"\n', "climbs")
        self.bad("layers", "tests/unit/http/test_x.c", '#include "net/a.h"\n', "may not include")
        self.bad("layers", "tests/unit/http/test_x.c", '#include "../net/net_test.h"\n', "may not include")
        self.good("layers", {"tests/unit/http/test_x.c": '#include "../base/base_test.h"\n'})
        self.bad("layers", "src/shed/x.c", "", "not in LAYERS")
        self.bad("layers", "LAYERS", "base: http\nhttp:\n", "stands not above it")

    def test_pure(self):
        for header in ("sys/socket.h", "unistd.h", "time.h", "netinet/in.h"):
            self.bad("pure", "src/http/x.c", f"#include <{header}>\n", f"<{header}>")
        self.good("pure", {"src/net/x.c": "#include <sys/socket.h>\n"})

    def test_named(self):
        there = {"Makefile": "run: x\n", "tests/integration/test_a.py": "def test_b(x):\n", "tests/fuzz/fuzz_c.c": SPDX}
        self.good("named", {**there, "docs/a.md": "`tests/integration/test_a.py`, `tests/fuzz`, `test_a.py::test_b`, `test_b`; fuzz/c; `make run X=1`\n"})
        for word in ("`tests/unit/x`", "`test_x.py`", "`test_a.py::test_x`", "`test_x`", "fuzz/x", "`make x`"):
            status, out = check("named", {**there, "docs/a.md": f"\n{word}\n"})
            self.assertEqual((status, out), (1, f"docs/a.md:2: there is no {word.strip('`')}\n"))

    def test_twice(self):
        for bad in ("MAX(wait, throttle_charge(t, n))", "MIN(read_u16(c), 4u)", "MAX(deepest, ++depth)"):
            self.bad("twice", "src/http/x.c", f"int f(void) {{ return {bad}; }}\n", f"src/http/x.c:1: {bad}")
        self.good("twice", {"src/http/x.c": "int f(void) { n--; return MIN(n, max_of(m)) + read_u8(c); }\n"})

    def test_rows(self):
        self.bad("rows", "src/base/err.tbl", SPDX + 'ERR(LOST, "lost")\n', "src/base/err.tbl:2: LOST is used nowhere")
        self.good("rows", {"src/base/err.tbl": 'ERR(FOUND, "found")\n', "src/http/x.c": "int x = ERR_FOUND;\n"})

    def test_licence(self):
        for name in ("src/http/x.c", "scripts/x.py", "src/net/meson.build", "Makefile", "src/io/x.S"):
            self.bad("licence", name, "x\n", f"{name}:1")
        self.bad("licence", "scripts/x", "#!/bin/sh\n", "scripts/x:1")
        self.good("licence", {"docs/x.md": "text\n", "tests/fuzz/corpus/a.conf": "x\n"})

    def test_paths(self):
        for place in ("wo" + "rk", "ro" + "ot", "ho" + "me"):
            self.bad("paths", "docs/x.md", f"see /{place}/x\n", "docs/x.md:1")
        self.good("paths", {"docs/x.md": "net" + "wo" + "rk/x and ./" + "wo" + "rk/x\n"})

    def test_banned(self):
        self.bad("banned", "src/http/x.c", "void f(void) { free (p); }\n", "src/http/x.c:1: free()")
        self.bad("banned", "src/http/x.c", "/*\n*/ char *s = strdup(t);\n", "src/http/x.c:2: strdup()")
        self.good("banned", {"src/base/mem.c": "void *p = malloc(1);\n"})


unittest.main()
