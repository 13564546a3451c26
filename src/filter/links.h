// SPDX-License-Identifier: Apache-2.0
// Links that name a backend come out naming the proxy: in HTML, in CSS, and by exact text elsewhere.
#ifndef WEIR_FILTER_LINKS_H
#define WEIR_FILTER_LINKS_H

#include "base/arena.h"
#include "filter/filter.h"

/// An origin that is hidden, with the path under which it is mounted.
struct link_origin {
    bool https;
    struct span host; // lower case, without brackets' change
    uint16_t port;
    struct span path; // without its final slash; empty: the whole origin
};

/// Parses `http://HOST[:PORT][/PATH]` (or https); spans live in the arena. False for anything else.
bool link_origin_parse(struct span url, struct arena *a, struct link_origin *ret);

/// What stands in the place of what. Lives as long as the filters that use it.
struct link_map {
    const struct link_origin *v;
    unsigned n;
    struct span scheme, authority; // of the proxy, as the client sees it
    struct span prefix;            // under which path the origins are mounted there, without its final slash; empty: none
};

/// What is done to a URL: its first `cut` bytes go, and these come in their place.
struct link_change {
    size_t cut;
    bool scheme, authority; // the prefix in any case
};

/// Whether the URL lies in one of the origins, by its parsed scheme, host and port (`http://backend.evil.example` does not lie in
/// `http://backend`); or whether it is a path alone, which a prefix makes another one.
bool link_match(const struct link_map *m, struct span url, struct link_change *ret);
/// Appends what comes in the place of the bytes that go.
MUST_USE enum err link_put_change(const struct link_map *m, const struct link_change *c, struct chunkq *out);
/// Appends the URL, rewritten where it lies in an origin, to the queue.
MUST_USE enum err link_put(const struct link_map *m, struct span url, struct chunkq *out);
/// A whole field value or attribute; the same span where nothing is to be changed. NULL pointer when memory is out.
struct span link_rewrite(const struct link_map *m, struct span url, struct arena *a);
/// Of `0; url=URL` (a Refresh field, a meta element's content) where the URL is: false where there is none.
bool link_in_refresh(struct span content, size_t *ret_start, size_t *ret_len);

/// HTML by the WHATWG's tokenizer, without a tree: URL attributes, srcset, meta refresh, style attributes and elements. What is
/// not surely a link passes octet for octet. NULL when memory is out.
struct filter *html_links_new(const struct link_map *m);
/// The same by the rules of XML: no text is raw, any element may be empty, CDATA anywhere.
struct filter *xhtml_links_new(const struct link_map *m);
struct filter *css_links_new(const struct link_map *m);
/// Other text: the origins as exact strings, with slashes plain or escaped (`\/`), where no character of a host name follows.
struct filter *text_links_new(const struct link_map *m);

#endif
