# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command once for the whole run; and clients that speak TLS."""
import functools
import pathlib
import socket
import ssl
import subprocess
import tempfile

from http1 import Stream


@functools.lru_cache(maxsize=None)
def home():
    return pathlib.Path(tempfile.mkdtemp(prefix="weir-certs-"))


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


def key_options(kind):
    return ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]


def authority(name="ca"):
    """A certificate authority: (certificate's path, key's path)."""
    return made_authority(name)


@functools.lru_cache(maxsize=None)
def made_authority(name):
    cert, key = home() / f"{name}.pem", home() / f"{name}.key"
    openssl("req", "-x509", *key_options("ec"), "-nodes", "-keyout", key, "-out", cert, "-days", "30", "-subj", f"/CN=test {name}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return cert, key


def leaf(*names, kind="ec", ca="ca", days=10, client=False, ocsp=None):
    """A certificate for these names, signed by the authority: (PEM of the certificate, PEM of the key). The same each time."""
    return made_leaf(names, kind, ca, days, client, ocsp)


@functools.lru_cache(maxsize=None)
def made_leaf(names, kind, ca, days, client, ocsp):
    ca_cert, ca_key = authority(ca)
    base = home() / f"leaf{made_leaf.cache_info().currsize}"
    san = ",".join(("IP:" if n.replace(".", "").isdigit() else "DNS:") + n for n in names)
    base.with_suffix(".ext").write_text(f"subjectAltName={san}\nextendedKeyUsage={'clientAuth' if client else 'serverAuth'}\n"
                                      + (f"authorityInfoAccess=OCSP;URI:{ocsp}\n" if ocsp else ""))
    openssl("req", *key_options(kind), "-nodes", "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/O=weir tests/CN={names[0]}")
    openssl("x509", "-req", "-in", f"{base}.csr", "-CA", ca_cert, "-CAkey", ca_key, "-CAcreateserial", "-days", days, "-out", f"{base}.pem",
            "-extfile", f"{base}.ext")
    return base.with_suffix(".pem").read_bytes(), base.with_suffix(".key").read_bytes()


def files(*names, prefix="server", **options):
    """The two as files for the `weir` fixture: PREFIX.pem and PREFIX.key."""
    cert, key = leaf(*names, **options)
    return {f"{prefix}.pem": cert, f"{prefix}.key": key}


def context(ca="ca", alpn=("http/1.1",), least=None, most=None, client=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(authority(ca)[0])
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if least:
        c.minimum_version = least
    if most:
        c.maximum_version = most
    if client:
        cert, key = leaf(*client[0:1], ca=client[1] if len(client) > 1 else "ca", client=True)
        path = home() / f"client-{client[0]}-{client[1] if len(client) > 1 else 'ca'}.pem"
        path.write_bytes(cert + key)
        c.load_cert_chain(path)
    return c


def connect_tls(port, name="a.test", timeout=10, session=None, sock=None, **options):
    """A Stream over TLS; `sock` of it is the ssl socket. name None: without SNI (nor a check of the name)."""
    c = options.pop("context", None) or context(**options)
    if name is None:
        c.check_hostname = False
    sock = sock or socket.create_connection(("127.0.0.1", port), timeout=timeout)
    try:
        return Stream(c.wrap_socket(sock, server_hostname=name, session=session), timeout)
    except BaseException:
        sock.close()
        raise


def server_context(*names, ca="ca", client_ca=None, alpn=("http/1.1",), **options):
    """For an origin: shows a certificate for these names, and demands one that client_ca signed."""
    cert, key = leaf(*names, ca=ca, **options)
    path = home() / f"origin-{'-'.join(names).replace('*', '_')}-{ca}.pem"
    path.write_bytes(cert + key)
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(path)
    c.set_alpn_protocols(list(alpn))
    if client_ca:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(authority(client_ca)[0])
    return c


def revocation_list(*revoked, ca="ca"):
    """A list (PEM) by the authority that names these certificates (PEM)."""
    ca_cert, ca_key = authority(ca)
    base = pathlib.Path(tempfile.mkdtemp(dir=home()))
    (base / "index").write_text("")
    (base / "conf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index\ndefault_md=sha256\ndefault_crl_days=10\n")
    options = ["-config", base / "conf", "-cert", ca_cert, "-keyfile", ca_key]
    for n, cert in enumerate(revoked):
        (base / f"{n}.pem").write_bytes(cert)
        openssl("ca", *options, "-revoke", base / f"{n}.pem")
    return openssl("ca", *options, "-gencrl")
