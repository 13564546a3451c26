# SPDX-License-Identifier: Apache-2.0
"""Real applications behind weir, under another name and path: a wiki (dokuwiki, PHP in Apache) and gitweb. Chromium walks their links, logs in, and never
sees the name of the server that they run on. `make walk` runs it."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

import certs
from passwords import hashed
from process import free_port, need

NAME = "backend.internal"
PAGES = 100
pytestmark = pytest.mark.skipif(not os.environ.get("WEIR_WALK"), reason="make walk runs it, with the packages that it needs")
CONF = """
log access json stdout
pool app { server 127.0.0.1:@app@ }
site front.test {
    listen 127.0.0.1:@https@ tls
    tls cert server.pem key server.key
    set request-header Host "backend.internal:@app@"
    compress
    route /docs/* -> pool app {
        strip /docs
        rewrite "/*" "/dokuwiki/{1}"
        rewrite-links http://backend.internal:@app@/dokuwiki https://backend.internal:@app@/dokuwiki types application/xml application/*+xml
        replace "'/dokuwiki/'" with "'/docs/'"                                                  # in a script
        replace "title=\\"http://backend.internal:@app@/dokuwiki" with "title=\\"https://front.test/docs"   # what only looks like a link
    }
    route /code/* -> pool app {
        strip /code
        rewrite "/*" "/git/{1}"
        rewrite-links http://backend.internal:@app@/git https://backend.internal:@app@/git types application/xml application/*+xml
    }
}
"""
HTTPD = """
ServerRoot {home}
ServerName backend.internal
UseCanonicalName Off
PidFile {home}/pid
ErrorLog {home}/error.log
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule env_module {modules}/mod_env.so
LoadModule cgi_module {modules}/mod_cgi.so
LoadModule php_module {php}
TypesConfig /etc/mime.types
Mutex pthread
Listen 127.0.0.1:{port}
User www-data
Group www-data
StartServers 2
DocumentRoot {home}/empty
DirectoryIndex doku.php index.cgi
Alias /dokuwiki /usr/share/dokuwiki
ScriptAlias /git/gitweb.cgi /usr/lib/cgi-bin/gitweb.cgi
Alias /git /usr/share/gitweb
RedirectMatch ^/git/?$ /git/gitweb.cgi
SetEnv GITWEB_CONFIG {home}/gitweb.conf
<Directory /usr/share/dokuwiki>
    Require all granted
    AllowOverride None
    SetHandler none
    php_value auto_prepend_file {home}/prepend.php
    <FilesMatch "\\.php$">
        SetHandler application/x-httpd-php
    </FilesMatch>
</Directory>
"""


def modules_or_skip():
    modules = pathlib.Path("/usr/lib/apache2/modules")
    php = sorted(modules.glob("libphp*.so"))
    for what in (php and php[0], pathlib.Path("/usr/share/dokuwiki/doku.php"), pathlib.Path("/usr/lib/cgi-bin/gitweb.cgi"), modules / "mod_mpm_prefork.so"):
        if not what or not what.exists():
            pytest.skip("dokuwiki, gitweb or PHP for Apache is not installed")
    if os.getuid() != 0:
        pytest.skip("the packages' own files belong to www-data")
    return modules, php[0]


def make_wiki(home, url):
    """A configuration of its own, with a user and pages that link to one another in all ways."""
    conf, data = home / "conf", home / "data"
    shutil.copytree("/etc/dokuwiki", conf, ignore=shutil.ignore_patterns("acl.auth.php", "users.auth.php", "local.php"))
    shutil.copytree("/var/lib/dokuwiki/data", data)
    (home / "prepend.php").write_text(f"<?php define('DOKU_MAIN_CONF', '{conf}/'); define('DOKU_CONF', '{conf}/');\n")
    (conf / "local.php").write_text(f"<?php $conf['title'] = 'walk'; $conf['useacl'] = 1; $conf['superuser'] = '@admin'; $conf['savedir'] = '{data}'; $conf['mailfrom'] = ''; $conf['updatecheck'] = 0;\n")
    (conf / "acl.auth.php").write_text("* @ALL 1\n* @user 8\n")
    (conf / "users.auth.php").write_text(f"ann:{hashed('secret', '$1$abcdefgh$')}:Ann:ann@front.test:user\n")
    pages = data / "pages"
    (pages / "start.txt").write_text("====== Start ======\n" + "".join(f"  * [[page{i}|Page {i}]] and [[{url}/doku.php?id=page{i}|the same by its whole address]]\n" for i in range(40)))
    for i in range(40):
        (pages / f"page{i}.txt").write_text(f"====== Page {i} ======\n[[start|Start]] [[page{(i + 1) % 40}|next]] [[{url}/doku.php?id=page{(i * 7) % 40}|far]] [[http://elsewhere.test/|elsewhere]]\n===== Part =====\ntext\n")


def make_repositories(home):
    git = home / "git"
    for name in ("one.git", "two.git"):
        work = home / f"work-{name}"
        run = lambda *a: subprocess.run(["git", *a], cwd=work, check=True, capture_output=True, env={**os.environ, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"})
        work.mkdir()
        run("init", "-q", "-b", "main")
        for i in range(4):
            (work / f"file{i}.txt").write_text(f"line {i}\n" * (i + 1))
            run("add", "-A")
            run("-c", "user.name=Ann", "-c", "user.email=ann@front.test", "commit", "-q", "-m", f"Change {i}")
        git.mkdir(exist_ok=True)
        subprocess.run(["git", "clone", "-q", "--bare", str(work), str(git / name)], check=True, capture_output=True)
    (home / "gitweb.conf").write_text(f"$site_name = 'walk';\n$projectroot = '{git}';\n$projects_list = $projectroot;\n@stylesheets = ('/git/static/gitweb.css');\n$javascript = '/git/static/gitweb.js';\n"
                                      "$logo = '/git/static/git-logo.png';\n$favicon = '/git/static/git-favicon.png';\n$feature{'pathinfo'}{'default'} = [1];\n")
    (home / "safe").write_text("[safe]\n    directory = *\n")


@pytest.fixture
def application(process, folder):
    modules, php = modules_or_skip()
    port, home = free_port(), folder / "application"
    (home / "empty").mkdir(parents=True)
    make_wiki(home, f"http://{NAME}:{port}/dokuwiki")
    make_repositories(home)
    (home / "httpd.conf").write_text(HTTPD.format(home=home, modules=modules, php=php, port=port) + f"SetEnv GIT_CONFIG_GLOBAL {home}/safe\n")
    user = pwd.getpwnam("www-data")
    for path in [home, *home.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    process([need("apache2"), "-DFOREGROUND", "-d", home, "-f", home / "httpd.conf"], [port], start_new_session=True)  # what ends it ends its process group
    return port


def test_a_walk(application, weir, modules, tmp_path):
    w = weir(CONF, app=application, files=certs.files("front.test"))
    home = tmp_path / "home"
    home.mkdir()
    base = f"https://front.test:{w.https}"
    task = {"executable": need("chromium"), "args": ["--no-sandbox", "--ignore-certificate-errors", f"--host-resolver-rules=MAP front.test:{w.https} 127.0.0.1:{w.https}"],
            "start": [f"{base}/docs/doku.php", f"{base}/code/"], "pages": PAGES, "name": NAME,
            "login": {"url": f"{base}/docs/doku.php?id=start&do=login", "user": "ann", "password": "secret"}}
    done = subprocess.run(["node", str(modules / "walk.mjs")], input=json.dumps(task), capture_output=True, text=True, timeout=240, env={**os.environ, "HOME": str(home)})
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["loggedIn"] and seen["found"] == [] and seen["failed"] == [], seen
    assert seen["pages"] >= PAGES and seen["responses"] > PAGES
    w.stop()
    log = [json.loads(line) for line in w.stdout.splitlines()]
    assert {r["route"] for r in log if r["status"] == 200} == {"weir.conf:9", "weir.conf:16"}
