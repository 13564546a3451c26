# SPDX-License-Identifier: Apache-2.0
"""`auth bearer` (JSON Web Tokens) and `auth client-cert`."""
import base64
import hashlib
import hmac
import json
import subprocess
import time

import pytest

import certs
from certs import connect_tls
from http1 import connect, request
from process import need

CONF = """
pool app { server 127.0.0.1:@app@ }
site * {
    listen 127.0.0.1:@site@
    auth bearer keys keys.json algorithm ALG audience weir issuer "https://id.test/" realm api
    route * -> pool app { set request-header X-User {user} }
}
"""
SECRET = b"0123456789abcdef0123456789abcdef"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(sign, head=None, **claims):
    body = {"sub": "ann", "aud": "weir", "iss": "https://id.test/", "exp": time.time() + 600, **claims}
    body = {k: v for k, v in body.items() if v is not None}
    text = b64(json.dumps(head or {"alg": "HS256"}).encode()) + "." + b64(json.dumps(body).encode())
    return text + "." + b64(sign(text.encode()))


def hs256(data):
    return hmac.new(SECRET, data, hashlib.sha256).digest()


@pytest.fixture
def get(weir, origin):
    o = origin()
    w = weir(CONF.replace("ALG", "HS256"), app=o.port, files={"keys.json": json.dumps({"keys": [{"kty": "odd"}, {"kty": "oct", "kid": "k1", "k": b64(SECRET)}]})})

    def ask(value):
        with connect(w.site) as c:
            r = c.ask(request(fields=[("Authorization", value)] if value else []))
        return r.status, (o.requests[-1].fields["X-User"] if r.status == 200 else r.fields.get("WWW-Authenticate"))
    return ask


@pytest.mark.parametrize("deep", ['[' * 2000 + ']' * 2000, '{"a":' * 900 + "1" + "}" * 900])
def test_what_is_nested_deeply_ends_nobody(get, deep):
    """A header is parsed before it is verified, claims are parsed on a fiber's short stack."""
    head, claims = ('{"alg":"HS256","x":%s}' % deep).encode(), json.dumps({"sub": "ann", "exp": time.time() + 600})
    text = b64(head) + "." + b64(claims.encode())
    assert get("Bearer " + text + "." + b64(hs256(text.encode())))[0] == 401
    text = b64(b'{"alg":"HS256"}') + "." + b64((claims[:-1] + ',"x":%s}' % deep).encode())
    assert get("Bearer " + text + "." + b64(hs256(text.encode())))[0] == 401
    assert get("Bearer " + token(hs256)) == (200, "ann")


def test_good_tokens(get):
    assert get("Bearer " + token(hs256)) == (200, "ann")
    assert get("bearer " + token(hs256, aud=["other", "weir"], nbf=time.time() - 5)) == (200, "ann")
    assert get("Bearer " + token(hs256, {"alg": "HS256", "kid": "k1"})) == (200, "ann")


@pytest.mark.parametrize("make", [
    lambda: None,
    lambda: "Bearer",
    lambda: "Bearer x",
    lambda: "Bearer a.b.c",
    lambda: "Bearer " + "A" * 9000,
    lambda: "Bearer " + token(hs256, exp=time.time() - 60),
    lambda: "Bearer " + token(hs256, exp=None),
    lambda: "Bearer " + token(hs256, exp="9999999999"),
    lambda: "Bearer " + token(hs256, nbf=time.time() + 600),
    lambda: "Bearer " + token(hs256, aud="other"),
    lambda: "Bearer " + token(hs256, aud=None),
    lambda: "Bearer " + token(hs256, iss="https://evil.test/"),
    lambda: "Bearer " + token(hs256, sub=None),
    lambda: "Bearer " + token(hs256, sub="a\nb"),
    lambda: "Bearer " + token(hs256, {"alg": "HS512"}),
    lambda: "Bearer " + token(hs256, {"alg": "HS256", "kid": "k2"}),
    lambda: "Bearer " + token(hs256, {"alg": "HS256", "crit": ["x"], "x": 1}),
    lambda: "Bearer " + token(lambda d: b"", {"alg": "none"}),
    lambda: "Bearer " + token(lambda d: bytes(32)),
    lambda: "Bearer " + token(hs256)[:-3],
])
def test_bad_tokens(get, make):
    assert get(make()) == (401, 'Bearer realm="api"')


def test_rs256_and_no_confusion_of_algorithms(weir, origin, folder):
    """A public key is no secret: what is signed with it by HMAC is not signed (RFC 8725 2.1)."""
    need("openssl")
    run = lambda *a, **k: subprocess.run(["openssl", *a], cwd=folder, check=True, capture_output=True, **k).stdout
    run("genrsa", "-out", "k.pem", "2048")
    n = bytes.fromhex(run("rsa", "-in", "k.pem", "-noout", "-modulus").decode().strip().split("=")[1])
    public = run("rsa", "-in", "k.pem", "-pubout")
    o = origin()
    w = weir(CONF.replace("ALG", "RS256"), app=o.port, files={"keys.json": json.dumps({"kty": "RSA", "n": b64(n), "e": "AQAB"})})

    def get(value):
        with connect(w.site) as c:
            return c.ask(request(fields=[("Authorization", "Bearer " + value)])).status
    assert get(token(lambda d: run("dgst", "-sha256", "-sign", "k.pem", input=d), {"alg": "RS256"})) == 200
    for key in (public, n):
        assert get(token(lambda d: hmac.new(key, d, hashlib.sha256).digest())) == 401


def raw_signature(der):
    """r and s of an ECDSA signature one behind the other (RFC 7518 3.4)."""
    assert der[0] == 0x30 and der[2] == 2
    r, rest = der[4:4 + der[3]], der[4 + der[3]:]
    s = rest[2:2 + rest[1]]
    return b"".join(n.lstrip(b"\0").rjust(32, b"\0") for n in (r, s))


def test_keys_from_pem(weir, origin, folder):
    """Public keys and certificates, several in a file; another key, or another algorithm, is of no use."""
    need("openssl")
    run = lambda *a, **k: subprocess.run(["openssl", *a], cwd=folder, check=True, capture_output=True, **k).stdout
    run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem")
    run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "other.pem")
    run("genrsa", "-out", "rsa.pem", "2048")
    run("req", "-x509", "-new", "-key", "rsa.pem", "-subj", "/CN=x", "-out", "rsa.crt")
    pem = (folder / "rsa.crt").read_bytes() + b"words between\n" + run("ec", "-in", "ec.pem", "-pubout")
    es = lambda key: lambda d: raw_signature(run("dgst", "-sha256", "-sign", key, input=d))
    rs = lambda d: run("dgst", "-sha256", "-sign", "rsa.pem", input=d)
    o = origin()
    for algorithm, good, bad in [("ES256", es("ec.pem"), es("other.pem")), ("RS256", rs, es("ec.pem"))]:
        w = weir(CONF.replace("ALG", algorithm).replace("keys.json", "keys.pem"), app=o.port, files={"keys.pem": pem})
        with connect(w.site) as c:
            for sign, head, status in [(good, algorithm, 200), (bad, algorithm, 401), (rs if algorithm == "ES256" else es("ec.pem"), {"ES256": "RS256", "RS256": "ES256"}[algorithm], 401),
                                       (lambda d: hmac.new(pem, d, hashlib.sha256).digest(), "HS256", 401)]:
                assert c.ask(request(fields=[("Authorization", "Bearer " + token(sign, {"alg": head}))])).status == status


@pytest.mark.parametrize("pem, words", [
    ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is damaged"), ("-----BEGIN NOTHING-----\n", "no key in it"),
    ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a private key has no business here")])
def test_pem_that_is_of_no_use(folder, cli, pem, words):
    (folder / "k.pem").write_text(pem)
    (folder / "x.conf").write_text("proxy 127.0.0.1:13128 { auth bearer keys k.pem algorithm ES256 }\n")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and words in done.stderr


@pytest.mark.parametrize("statement, words", [
    ("auth bearer keys k.json", "wants the one algorithm"), ("auth bearer algorithm ES256", "wants the keys"), ("auth bearer keys k.json algorithm none", "no algorithm"),
    ("auth bearer keys k.json algorithm ES256", "has no key"), ("auth bearer keys missing.json algorithm ES256", "cannot be read"), ("auth basic keys k.json", "no word for `auth basic`")])
def test_mistakes(folder, cli, statement, words):
    (folder / "k.json").write_text('{"keys": [{"kty": "odd"}]}')
    (folder / "x.conf").write_text(f"proxy 127.0.0.1:13128 {{ {statement} }}\n")
    done = cli("check", "-c", "x.conf")
    assert done.returncode == 2 and words in done.stderr


def test_client_certificates(weir, origin):
    o = origin()
    w = weir("""
        pool app { server 127.0.0.1:@app@ }
        site a.test {
            listen 127.0.0.1:@https@ tls
            tls cert server.pem key server.key
            client-cert optional ca ca.pem
            auth client-cert
            route * -> pool app { set request-header X-User {user} }
        }""", app=o.port, files={**certs.files("a.test"), "ca.pem": certs.authority()[0].read_bytes()})
    with connect_tls(w.https, "a.test") as c:
        assert c.ask(request(host="a.test")).status == 401
    with connect_tls(w.https, "a.test", client=("ann",)) as c:
        assert c.ask(request(host="a.test")).status == 200
    assert o.requests[-1].fields["X-User"] == "ann"
