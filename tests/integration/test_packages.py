# SPDX-License-Identifier: Apache-2.0
"""What is installed and what is shipped beside the program: the files of `make install`, the package, the image, the manifests."""
import os
import pathlib
import shutil
import subprocess

import pytest

from process import ENVIRONMENT, ROOT, weir_binary

PACKAGES = ROOT / "packages"


def check(folder, text):
    (folder / "weir.conf").write_text(text)
    return subprocess.run([weir_binary(), "check"], cwd=folder, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT})


def test_an_installation_has_program_manual_and_completion(tmp_path):
    build = pathlib.Path(weir_binary()).parent
    if not (build / "build.ninja").exists():
        pytest.skip("the program under test does not lie in a build folder")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", tmp_path], check=True, capture_output=True)
    found = {p.relative_to(tmp_path / "usr/local").as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {"bin/weir", "share/man/man1/weir.1", "share/man/man5/weir.conf.5", "share/bash-completion/completions/weir",
            "share/zsh/vendor-completions/_weir", "share/fish/vendor_completions.d/weir.fish"} <= found
    assert (tmp_path / "usr/local/share/man/man1/weir.1").read_text().startswith(".TH WEIR 1")


def test_the_configuration_of_the_package_is_without_a_finding(folder):
    (folder / "welcome").mkdir()
    shutil.copy(PACKAGES / "debian/welcome.html", folder / "welcome/index.html")
    text = (PACKAGES / "debian/weir.conf").read_text()
    checked = check(folder, text.replace("/usr/share/weir/welcome", "welcome"))
    assert (checked.returncode, checked.stderr) == (0, "")
    # What its comments suggest is one, too.
    suggested = "".join(line[4:] for line in text.splitlines(keepends=True) if line.startswith("#   "))
    checked = check(folder, suggested + "acme { folder acme }\n")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["weir.conf", "example.conf"])
def test_the_configurations_of_the_image_are_without_a_finding(folder, name):
    checked = check(folder, (PACKAGES / "container" / name).read_text())
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_manifests_are_whole_and_their_configuration_is_without_a_finding(folder):
    yaml = pytest.importorskip("yaml")
    documents = {d["kind"]: d for d in yaml.safe_load_all((PACKAGES / "kubernetes/weir.yaml").read_text())}
    assert set(documents) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    checked = check(folder, documents["ConfigMap"]["data"]["weir.conf"])
    assert (checked.returncode, checked.stderr) == (0, "")
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["exec"]["command"][1:] == ["status", "-s", "/run/weir/weir.sock"]
    assert {"name": "http", "containerPort": 8080} in container["ports"]
    compose = yaml.safe_load((PACKAGES / "container/compose.yaml").read_text())
    assert compose["services"]["weir"]["read_only"] is True


def test_the_program_runs_in_a_root_that_holds_only_what_the_image_does(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can change the root")
    root = folder / "image"
    program = root / "usr/local/bin/weir"
    program.parent.mkdir(parents=True)
    shutil.copy(weir_binary(), program)
    subprocess.run([ROOT / "scripts/image", program, root], check=True)
    (root / "etc/weir").mkdir()
    shutil.copy(PACKAGES / "container/weir.conf", root / "etc/weir/weir.conf")
    (root / "proc").mkdir()
    inside = 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/local/bin/weir check -c /etc/weir/weir.conf'
    if subprocess.run(["unshare", "-m", "sh", "-c", 'mount -t proc proc "$0/proc"', root], capture_output=True).returncode:
        pytest.skip("no mounts of our own here")
    checked = subprocess.run(["unshare", "-m", "sh", "-c", inside, root], capture_output=True, text=True, env={**os.environ, **ENVIRONMENT})
    assert (checked.returncode, checked.stderr) == (0, "")
