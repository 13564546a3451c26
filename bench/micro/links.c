// SPDX-License-Identifier: Apache-2.0
// What rewriting links costs: 64 KiB of HTML as an application makes it (navigation, paragraphs, a table, styles and scripts), with a link to
// be rewritten every few hundred bytes. Run under `valgrind --tool=callgrind` for instructions, or as it is for time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/links.h"

enum { PAGE_BYTES = 64 * 1024, PIECE_BYTES = 16 * 1024 };

static const char head[] = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Articles</title>\n"
                           "<link rel=\"stylesheet\" href=\"http://backend.internal:8080/static/site.css?v=17\">\n"
                           "<style>body { margin: 0; font: 16px/1.5 sans-serif } .hero { background: url(http://backend.internal:8080/hero.jpg) }</style>\n"
                           "<script>window.config = { base: '/', items: [1, 2, 3] }; if (1 < 2) { console.log('a') }</script>\n</head>\n<body class=\"page\">\n";
static const char part[] = "<article class=\"post post-type-article\" id=\"post-1\" data-author=\"ann\">\n"
                           "  <h2 class=\"title\"><a href=\"http://backend.internal:8080/articles/2026/11/a-title-of-some-length\" rel=\"bookmark\">A title of some length</a></h2>\n"
                           "  <p>Some words about it, with <em>emphasis</em> and a <a href=\"/articles/other\" class=\"link\">link of the same site</a>, and then more words so that "
                           "the text has the length that paragraphs have. It goes on for a sentence or two, as prose does &amp; should.</p>\n"
                           "  <img src=\"/media/picture-640.jpg\" srcset=\"/media/picture-640.jpg 640w, /media/picture-1280.jpg 1280w\" width=\"640\" height=\"480\" alt=\"A picture\" loading=\"lazy\">\n"
                           "  <ul class=\"tags\"><li><a href=\"/tags/one\">one</a></li><li><a href=\"/tags/two\">two</a></li><li><a href=\"https://elsewhere.example/three\">three</a></li></ul>\n"
                           "  <!-- generated in 12 ms -->\n</article>\n";

static char *make_page(void)
{
    char *p = (char *)malloc(PAGE_BYTES);
    size_t at = sizeof head - 1;
    if (!p)
        exit(1);
    memcpy(p, head, at);
    for (; at + sizeof part - 1 < PAGE_BYTES; at += sizeof part - 1)
        memcpy(p + at, part, sizeof part - 1);
    memset(p + at, ' ', PAGE_BYTES - at);
    return p;
}

// As content comes from a server: a few chunks, borrowed here.
static size_t rewrite(const struct link_map *m, const char *page)
{
    struct chunkq in, out;
    struct filter *f = html_links_new(m);
    size_t n = 0;
    chunkq_init(&in);
    chunkq_init(&out);
    for (size_t at = 0; f && at < PAGE_BYTES; at += PIECE_BYTES) {
        bool done = false;
        if (chunkq_append(&in, NULL, page + at, PIECE_BYTES))
            exit(1);
        while (!done)
            if (f->ops->run(f, &in, &out, at + PIECE_BYTES == PAGE_BYTES ? FILTER_END : FILTER_MORE, &done))
                exit(1);
        n += out.bytes;
        chunkq_clear(&out);
    }
    filter_free(f);
    chunkq_fini(&in);
    chunkq_fini(&out);
    return n;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
    struct arena a;
    struct link_origin o;
    arena_init(&a, 0);
    if (!link_origin_parse(SPAN("http://backend.internal:8080"), &a, &o))
        return 1;
    struct link_map m = {&o, 1, SPAN("https"), SPAN("www.shop.example"), SPAN("")};
    char *page = make_page();
    struct timespec from, to;
    size_t n = rewrite(&m, page);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (unsigned i = 0; i < rounds; i++)
        n += rewrite(&m, page);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("html links: %d octets, %.1f us, %.0f MB/s (%zu octets out)\n", PAGE_BYTES, ns / rounds / 1e3, (double)PAGE_BYTES * rounds / ns * 1e3, n / (rounds + 1));
    free(page);
    arena_fini(&a);
    return 0;
}
