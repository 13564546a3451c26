// SPDX-License-Identifier: Apache-2.0
// Links in HTML, CSS and text: the pieces in which content comes make no difference, and where no origin is hidden nothing changes. The first byte
// chooses the kind and the sizes of the pieces.
#include "fuzz.h"

#include "filter/links.h"

static size_t run(struct filter *f, const char *p, size_t len, size_t piece, char **ret)
{
    struct chunkq in, out;
    chunkq_init(&in);
    chunkq_init(&out);
    CHECK(f);
    for (size_t at = 0, n; at < len || !at; at += n) {
        n = MIN(piece, len - at);
        enum filter_more more = at + n == len ? FILTER_END : FILTER_FLUSH;
        CHECK(chunkq_append(&in, NULL, p + at, n) == ERR_OK);
        for (bool done = false; !done;)
            CHECK(f->ops->run(f, &in, &out, more, &done) == ERR_OK);
        if (at + n == len)
            break;
    }
    size_t size = out.bytes, at = 0;
    *ret = fuzz_exact(NULL, size);
    while (out.bytes) {
        struct span s = chunkq_first(&out);
        memcpy(*ret + at, s.ptr, s.len);
        at += s.len;
        chunkq_skip(&out, s.len);
    }
    chunkq_fini(&in);
    chunkq_fini(&out);
    filter_free(f);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct filter *(*const make[])(const struct link_map *) = {html_links_new, css_links_new, text_links_new};
    static const struct link_origin origins[] = {{false, SPAN_INIT("b"), 80, SPAN_INIT("")}, {true, SPAN_INIT("c.d"), 443, SPAN_INIT("/e")}};
    if (size < 1)
        return 0;
    size_t kind = data[0] % 3, piece = 1 + (data[0] / 3) % 40;
    struct link_map map = {origins, 2, SPAN("https"), SPAN("a.test"), data[0] & 128 ? SPAN("/m") : SPAN("")}, none = {origins, 0, SPAN("https"), SPAN("a.test"), SPAN("")};
    char *text = fuzz_exact(data + 1, size - 1), *whole, *pieces, *same;
    size_t n = run(make[kind](&map), text, size - 1, SIZE_MAX, &whole), n_pieces = run(make[kind](&map), text, size - 1, piece, &pieces);
    size_t n_same = run(make[kind](&none), text, size - 1, piece, &same);
    CHECK(n == n_pieces && memcmp(whole, pieces, n) == 0);
    CHECK(n_same == size - 1 && memcmp(same, text, n_same) == 0);
    free(text);
    free(whole);
    free(pieces);
    free(same);
    return 0;
}
