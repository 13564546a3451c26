# SPDX-License-Identifier: Apache-2.0
"""EasyList's network rules read plainly: each rule becomes one regular expression, and every rule is tried on every URL.

Nothing of it is shared with weir; it follows the description of the format (Adblock Plus, "How to write filters").
"""
import re
from urllib.parse import urlsplit

TYPES = {"script", "image", "stylesheet", "object", "xmlhttprequest", "subdocument", "ping", "websocket", "document", "media", "font", "other"}
ALIASES = {"css": "stylesheet", "xhr": "xmlhttprequest", "frame": "subdocument", "beacon": "ping", "doc": "document"}
DESTINATIONS = {"script": "script", "image": "image", "style": "stylesheet", "object": "object", "empty": "xmlhttprequest", "iframe": "subdocument",
                "report": "ping", "document": "document", "video": "media", "audio": "media", "font": "font", "manifest": "other", "": None}
SEPARATOR = r"(?:[^A-Za-z0-9_.%\-]|$)"
HIDING = re.compile(r"#@?[?$%^]*@?[?$%^]*#|\$\$|#\^")


class Unknown(Exception):
    pass


class Rule:
    def __init__(self, line, number):
        self.number = number
        self.exception = line.startswith("@@")
        if self.exception:
            line = line[2:]
        self.types, self.party, self.domains, self.important, self.case, self.remove = None, None, None, False, False, None
        pattern, options = self.split(line)
        without = set()
        types = set()
        for option in options:
            name, _, value = option.partition("=")
            negated = name.startswith("~")
            name = ALIASES.get(name.lstrip("~").lower(), name.lstrip("~").lower())
            if name in TYPES:
                (without if negated else types).add(name)
            elif name in ("third-party", "3p", "first-party", "1p"):
                self.party = (name in ("third-party", "3p")) != negated
            elif negated:
                raise Unknown(option)
            elif name in ("domain", "from") and value and "/" not in value:
                self.domains = value.lower().split("|")
            elif name == "important":
                self.important = True
            elif name == "match-case":
                self.case = True
            elif name in ("removeparam", "queryprune"):
                self.remove = value
            else:
                raise Unknown(option)
        self.types = (types or TYPES) - without
        if not pattern.strip("|*") and self.types == TYPES and self.party is None and self.domains is None and self.remove is None:
            raise Unknown("it takes everything: weir leaves such a rule out")
        try:
            self.regex = re.compile(self.translate(pattern), 0 if self.case else re.I)
        except re.error as e:
            raise Unknown(str(e)) from None

    @staticmethod
    def split(line):
        if line.startswith("/") and line.endswith("/") and len(line) > 2:
            return line, []
        m = re.match(r"^(/.*/)\$([~\w-].*)$", line) or re.match(r"^(.*)\$([~\w-][^$]*)$", line)
        return (m.group(1), m.group(2).split(",")) if m else (line, [])

    @staticmethod
    def translate(p):
        if p.startswith("/") and p.endswith("/") and len(p) > 2:
            return p[1:-1]
        start = end = ""
        if p.startswith("||"):
            start, p = r"^[a-z][a-z0-9+.\-]*://\[?(?:[^/?#:]*\.)?", p[2:]
        elif p.startswith("|"):
            start, p = "^", p[1:]
        if p.endswith("|"):
            end, p = "$", p[:-1]
        return start + "".join(".*" if c == "*" else SEPARATOR if c == "^" else re.escape(c) for c in p) + end

    def fits(self, url, kind, page, third):
        if kind is None:
            if self.types != TYPES and not ("document" in self.types and self.types != {"document"}):
                return False
        elif kind not in self.types:
            return False
        if self.party is True and third is not True or self.party is False and third is True:
            return False
        return self.domain_fits(page) and bool(self.regex.search(url))

    def domain_fits(self, page):
        if self.domains is None:
            return True
        best, result = -1, None
        for d in self.domains:
            negated, d = d.startswith("~"), d.lstrip("~")
            held = re.search(r"(^|\.)" + re.escape(d[:-1]) + r"[^.]+$", page or "") if d.endswith(".*") else page and (page == d or page.endswith("." + d))
            if held and len(d) > best:
                best, result = len(d), not negated
        return result if result is not None else all(d.startswith("~") for d in self.domains)


class List:
    def __init__(self, text):
        self.rules = []
        for number, line in enumerate(text.split("\n"), 1):
            line = line.strip()
            if not line or line[0] in "![" or line.startswith("# ") or line == "#" or HIDING.search(line):
                continue
            try:
                self.rules.append(Rule(line, number))
            except Unknown:
                pass

    def blocks(self, url, destination, referer):
        """Whether a request is blocked. Hosts of two labels under .test and .example are registrable."""
        kind = DESTINATIONS[destination]
        page = urlsplit(referer).hostname if referer else None
        site = lambda h: ".".join(h.split(".")[-2:])
        third = None if page is None else site(page) != site(urlsplit(url).hostname)
        fits = [r for r in self.rules if r.remove is None and r.fits(url, kind, page, third)]
        if any(r.important and not r.exception for r in fits):
            return True
        return any(not r.exception for r in fits) and not any(r.exception for r in fits)
