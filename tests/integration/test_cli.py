# SPDX-License-Identifier: Apache-2.0
"""What weir says of itself: help, completion and manual, all made from its tables of commands, options and statements."""
import os
import re
import shutil
import subprocess

import pytest

from http1 import connect, request
from process import ENVIRONMENT, free_port, weir_binary


def run(*arguments, **more):
    return subprocess.run([weir_binary(), *arguments], capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, timeout=60, **more)


def commands():
    """The words of `weir help`, each at the beginning of its line."""
    return re.findall(r"^  ([a-z-]+) ", run("help").stdout, re.M)


def help_of(command):
    """Options and examples that the help of a command lists."""
    text = run("help", command).stdout
    options = re.findall(r"^    (--?[a-z-]*[a-z])", text, re.M)
    return set(options), [line.strip() for line in text.split("examples:\n")[1].splitlines()]


@pytest.mark.parametrize("command", commands())
def test_every_command_shows_options_that_it_takes_and_examples_of_itself(command):
    options, examples = help_of(command)
    usage = run(command, "--help")
    assert usage.returncode == 0 and usage.stdout == run("help", command).stdout
    assert examples
    for example in examples:
        words = example.split(" | ")[0].split(" > ")[0].split()
        assert words[:2] == ["weir", command]
        assert {w for w in words[2:] if w.startswith("-")} <= options
    for option in options:
        assert option in usage.stdout.splitlines()[0], f"{option} is not in the usage line"
    assert {o for o in re.findall(r"(?<![\w-])--?[a-z-]*[a-z]", usage.stdout.splitlines()[0])} == options


def test_an_unknown_option_is_answered_by_the_one_that_was_meant():
    r = run("check", "--jsn")
    assert r.returncode == 2 and "did you mean `--json`" in r.stderr and "usage: weir check" in r.stderr
    r = run("server", "shop")
    assert r.returncode == 2 and "usage: weir server" in r.stderr


@pytest.mark.parametrize("arguments", [["reverse", "--to", "127.0.0.1:9"], ["forward"]])
def test_the_quick_modes_have_a_cache_on_demand(arguments, tmp_path):
    without, printed = run(*arguments, "--print").stdout, run(*arguments, "--cache", "--print").stdout
    assert "cache" not in without and re.search(r"^    cache main$", printed, re.M)
    (tmp_path / "weir.conf").write_text(printed)
    assert run("check", cwd=tmp_path).returncode == 0


def test_the_quick_mode_with_a_cache_answers_from_it(origin, process):
    o = origin(lambda exchange: exchange.reply(body=b"kept", fields=[("Cache-Control", "max-age=60")]))
    port = free_port()
    process([weir_binary(), "reverse", "--to", f"127.0.0.1:{o.port}", "--from", f"127.0.0.1:{port}", "--cache"], [port])
    with connect(port) as c:
        answers = [c.ask(request("GET", "/x", host="any.test")) for _ in range(2)]
    assert [a.body for a in answers] == [b"kept", b"kept"] and len(o.requests) == 1
    assert "; hit" in answers[1].fields.get("cache-status")


def completed(shell, line):
    """What a shell offers at the end of a line of words."""
    script = run("completion", shell).stdout
    words = line.split(" ")
    if shell == "bash":
        ask = f"COMP_WORDS=({' '.join(w or chr(39) * 2 for w in words)}); COMP_CWORD={len(words) - 1}; _weir; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        out = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True).stdout
    else:
        out = subprocess.run(["fish", "-N", "-c", script + f"complete -C '{line}'"], capture_output=True, text=True, check=True).stdout
    return {row.split("\t")[0] for row in out.splitlines() if row}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_commands_and_their_options(shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert completed(shell, "weir re") == {"reload", "reverse"}
    assert completed(shell, "weir purge --p") == {"--prefix"}
    assert completed(shell, "weir fmt --p") == set()


def test_zsh_reads_its_completion():
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    ran = subprocess.run(["zsh", "-fn"], input=run("completion", "zsh").stdout, capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stderr == ""
    assert run("completion", "tcsh").returncode == 2


@pytest.mark.parametrize("page", ["weir", "weir.conf"])
def test_the_manual_is_clean_roff_and_names_everything(page):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    shown = subprocess.run(["groff", "-man", "-Tascii", "-P-c", "-ww", "-rLL=2000n"], input=run("manual", page).stdout, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stderr == ""
    text = re.sub(r".\x08", "", shown.stdout)
    if page == "weir":
        for command in commands():
            for example in help_of(command)[1]:
                assert example in text
    else:
        for word, said in re.findall(r"^\| `([^`]+)`[^|]*\|(?:[^|\\]|\\.)*\|[^|]*\| (.*) \|$", run("help", "configuration").stdout, re.M):
            assert word in text
            assert " ".join(said.replace("\\|", "|").split()) in " ".join(text.split()), word
