# SPDX-License-Identifier: Apache-2.0
"""weir's HTML tokenizer and npm's parse5 agree on where tags and attributes lie: in the pages of this machine's packages, and in random, broken
documents."""
import json
import pathlib
import subprocess

import pytest

from process import weir_binary

PAGES_MAX = 150  # of /usr/share/doc
BYTES_MAX = 400_000
RANDOM = 4000


@pytest.fixture(scope="module")
def print_tags():
    path = pathlib.Path(weir_binary()).parent / "tests" / "unit" / "filter" / "print_tags"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


def compare(modules, print_tags, seed, count, pages=()):
    done = subprocess.run(["node", str(modules / "tags.mjs"), str(print_tags), str(seed), str(count)], input="\n".join(map(str, pages)),
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_real_pages(modules, print_tags):
    found = sorted(p for pattern in ("*.html", "*.htm") for p in pathlib.Path("/usr/share").glob(f"doc/**/{pattern}") if p.is_file() and p.stat().st_size < BYTES_MAX)
    if not found:
        pytest.skip("no package of this machine has documentation in HTML")
    pages = found[::max(1, len(found) // PAGES_MAX)][:PAGES_MAX]
    out = compare(modules, print_tags, 0, 0, pages)
    assert out["documents"] == len(pages) and out["tags"] > 10 * len(pages)
    assert out["differences"] == []


def test_random_documents(modules, print_tags):
    out = compare(modules, print_tags, 5, RANDOM)
    assert out["tags"] > 3 * RANDOM and out["differences"] == [], out["differences"]
    assert out["foreign"] > RANDOM / 10 and out["differing"] <= out["foreign"] / 200, out
