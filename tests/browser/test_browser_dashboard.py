# SPDX-License-Identifier: Apache-2.0
"""The dashboard in Chromium: what it shows, what it does with a token, and that it asks nobody else."""
import hashlib

import pytest

WRITE = "w" * 43
CONF = """
log access off
dashboard 127.0.0.1:@dash@ { write write.tokens }
cache main { memory 8MiB }
pool shop { server 127.0.0.1:@a@; server 127.0.0.1:@b@ backup }
site a.test { listen 127.0.0.1:@http@; cache main; route /x/* -> pool shop;  route * -> respond 200 }
"""
HELPERS = """
    const at = id => document.getElementById(id)
    const until = async (what, f) => {
        for (let i = 0; i < 400; i++) { const v = f(); if (v) return v; await new Promise(done => setTimeout(done, 25)) }
        throw new Error('did not come true: ' + what)
    }
    const states = () => [...document.querySelectorAll('#pool-list .state')].map(e => e.textContent)
    const use_token = async token => {
        await until('the question for a token', () => at('token').open)
        at('token-value').value = token
        at('token').querySelector('button[value=yes]').click()
    }
    const confirm = async () => { await until('the question', () => at('confirm').open); at('confirm').querySelector('button[value=yes]').click() }
"""


@pytest.fixture
def dash(weir, origin):
    a, b = origin(), origin()
    files = {"write.tokens": f"bob {hashlib.sha256(WRITE.encode()).hexdigest()}\n".encode()}
    return weir(CONF, a=a.port, b=b.port, files=files)


def visit(chromium, w, script):
    page, = chromium({"url": f"http://127.0.0.1:{w.dash}/", "script": HELPERS + script})
    assert page["status"] == 200 and not page["error"], page
    assert all(r["url"].startswith((f"http://127.0.0.1:{w.dash}/", "data:")) for r in page["requests"]), "nobody else is asked"
    return page["value"]


def test_without_a_token_it_asks_for_one_and_shows_nothing(chromium, dash):
    shown = visit(chromium, dash, "await until('the question', () => at('token').open); return [states(), at('configuration-text').textContent]")
    assert shown == [[], ""]


def test_it_shows_what_is_there(chromium, dash):
    shown = visit(chromium, dash, """
        await use_token('%s')
        await until('the pools', () => states().length === 2)
        await until('the stream', () => at('link').textContent === 'live')
        await until('a number', () => at('n-requests').textContent !== '-')
        await until('the configuration', () => at('configuration-text').textContent)
        return { states: states(), text: at('configuration-text').textContent, generation: at('generation').textContent, version: at('version').textContent }
    """ % WRITE)
    assert shown["states"] == ["up", "up, backup"] and shown["generation"] == "generation 1" and "threads" in shown["version"]
    assert "route /x/* -> pool shop" in shown["text"] and "site a.test {" in shown["text"]


def test_a_server_is_disabled_after_a_confirmation(chromium, dash):
    shown = visit(chromium, dash, """
        await use_token('%s')
        const button = await until('a button', () => document.querySelector('#pool-list button[aria-label^=disable]'))
        button.click()
        await until('the question', () => at('confirm').open)
        const asked = at('confirm-text').textContent
        await confirm()
        document.activeElement.blur()
        await until('the state', () => states().includes('disabled'))
        return asked
    """ % WRITE)
    assert "shop" in shown


def test_a_reload_that_is_refused_says_where(chromium, dash):
    dash.rewrite(dash.text + "nonsense 1\n")
    shown = visit(chromium, dash, """
        await use_token('%s')
        await until('the pools', () => states().length === 2)
        at('reload').click()
        await confirm()
        return until('the findings', () => at('reload-answer').textContent)
    """ % WRITE)
    assert "weir.conf:" in shown and "nonsense" in shown
