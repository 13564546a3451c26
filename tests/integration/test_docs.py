# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows works: every configuration in it is checked, and those of the cookbook are started."""
import re
import signal

import pytest

import certs
import passwords
from process import ROOT, accepts, free_port, wait_until, weir_binary

RECIPES = re.findall(r"^### \d+\. (.*?)\n(.*?)(?=^### |^## |\Z)", (ROOT / "docs" / "cookbook.md").read_text(), re.M | re.S)
LISTS = {"hosts.txt": "0.0.0.0 ads.example\n", "games.txt": ".play.example\n", "mine.txt": "tracker.example\n", "easylist.txt": "||banner.example^\n"}


def configuration(text):
    return re.search(r"```weir\n(.*?)```", text, re.S).group(1)


def put_files(folder, conf):
    """The files that a configuration names, as its reader would have them."""
    names = set(re.findall(r"\b[\w.-]+\.(?:pem|key|txt|htpasswd|secret)\b", conf))
    for host in {n.rsplit(".", 1)[0] for n in names if n.endswith(".key")}:
        for name, content in certs.files(host if "." in host else f"{host}.example", prefix=host).items():
            (folder / name).write_bytes(content)
    for name in names:
        path = folder / name
        if name in ("ca.pem", "partners.pem"):
            path.write_bytes(certs.authority()[0].read_bytes())
        elif name in LISTS:
            path.write_text(LISTS[name])
        elif name.endswith(".htpasswd"):
            path.write_text(passwords.htpasswd(ann="for tests"))
        elif name.endswith(".secret"):
            path.write_text("a secret of the tests, of some length\n")
        assert path.exists(), f"nobody makes {name}"
    if " files www" in conf:
        (folder / "www").mkdir()
        (folder / "www" / "index.html").write_text("<!doctype html><title>recipe</title>\n")


def on_free_ports(conf):
    """The configuration at ports of 127.0.0.1, without its tests (which ask for the real ones), and these ports."""
    ports = []

    def address(_):
        ports.append(free_port())
        return f"127.0.0.1:{ports[-1]}"

    conf = re.sub(r'^test ".*\n', "", conf, flags=re.M)
    conf = re.sub(r"(?<=listen )[\d.]*:\d+", address, conf)
    conf = re.sub(r"(?<=^proxy )[\d.]*:\d+", address, conf, flags=re.M)
    conf = re.sub(r"^site [^{]*\{(?![^}]*\blisten )", lambda m: f"{m[0]} listen {address(m)};", conf, flags=re.M)
    return conf, ports


def test_there_are_thirty_recipes_each_listed_at_the_top():
    assert len(RECIPES) == 30
    top = (ROOT / "docs" / "cookbook.md").read_text().split("\n## ")[0]
    for n, (title, _) in enumerate(RECIPES, 1):
        anchor = re.sub(r"[^\w -]", "", f"{n}. {title}".lower()).replace(" ", "-")
        assert f"(#{anchor})" in top, anchor


@pytest.mark.parametrize("title,text", RECIPES, ids=[t for t, _ in RECIPES])
def test_a_recipe_is_without_a_finding_and_runs(folder, cli, process, title, text):
    conf = configuration(text)
    put_files(folder, conf)
    (folder / "weir.conf").write_text(conf)
    checked = cli("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    moved, ports = on_free_ports(conf)
    assert ports
    (folder / "moved.conf").write_text(moved)
    weir = process([weir_binary(), "run", "-c", "moved.conf"], ports)
    weir.child.send_signal(signal.SIGTERM)
    assert weir.child.wait(20) == 0


PAGES = sorted(p for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if p.name != "cookbook.md")


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_between_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_configurations_on_other_pages_parse(page, folder, cli):
    for n, conf in enumerate(re.findall(r"```weir\n(.*?)```", page.read_text(), re.S)):
        home = folder / str(n)
        home.mkdir()
        put_files(home, conf)
        (home / "weir.conf").write_text(conf)
        checked = cli("check", "-c", f"{n}/weir.conf")
        assert checked.returncode == 0, checked.stderr
