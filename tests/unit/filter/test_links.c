// SPDX-License-Identifier: Apache-2.0
// Links in HTML, CSS and text: what is one, what is none, and that the pieces in which content comes make no difference.
#include "filter_test.h"

#include "filter/links.h"

struct fixture {
    struct arena arena;
    struct link_origin origins[3];
    struct link_map map;
};

static void fixture_init(struct fixture *f)
{
    static const char *const urls[] = {"http://127.0.0.1:18081", "http://backend.internal", "https://deep.internal/app/"};
    arena_init(&f->arena, 1 << 20);
    for (unsigned i = 0; i < 3; i++)
        assert_true(link_origin_parse(span_str(urls[i]), &f->arena, &f->origins[i]));
    f->map = (struct link_map){f->origins, 3, SPAN("https"), SPAN("shop.test"), SPAN("")};
}

typedef struct filter *(*make_fn)(const struct link_map *m);

static char *run_all(make_fn make, const struct link_map *m, const char *in, size_t len, size_t piece, uint32_t seed)
{
    struct text out = {NULL, 0, 0};
    text_add(&out, "", 0);
    assert_int_equal(run_pieces(make(m), in, len, piece, seed, &out), ERR_OK);
    text_add(&out, "", 1);
    return out.ptr;
}

static void expect(make_fn make, const char *in, const char *want)
{
    struct fixture f;
    fixture_init(&f);
    size_t len = strlen(in);
    for (size_t piece = 1; piece <= len + 1; piece++) {
        char *got = run_all(make, &f.map, in, len, piece, 0);
        assert_string_equal(got, want);
        free(got);
    }
    arena_fini(&f.arena);
}

#define HTML(in, want) expect(html_links_new, in, want)
#define SAME(in) expect(html_links_new, in, in)
#define B "http://backend.internal"
#define P "https://shop.test"

static void attributes(void **state)
{
    (void)state;
    HTML("<a href=\"" B "/x?a=1&amp;b#c\">t</a>", "<a href=\"" P "/x?a=1&amp;b#c\">t</a>");
    HTML("<a href='" B "'>", "<a href='" P "'>");
    HTML("<a href=" B "/y>", "<a href=" P "/y>");
    HTML("<A class=k HREF = \n\"" B "?q\" id=z>", "<A class=k HREF = \n\"" P "?q\" id=z>");
    HTML("<img src=" B "/i.png/>", "<img src=" P "/i.png/>");
    HTML("<form action='http://127.0.0.1:18081/f'><button formaction=\"//127.0.0.1:18081/g\">", "<form action='https://shop.test/f'><button formaction=\"//shop.test/g\">");
    HTML("<video poster=\"" B "/p\"><object data=\"" B "/d\"><q cite=\"" B "/c\"><body background=\"" B "/b\">",
         "<video poster=\"" P "/p\"><object data=\"" P "/d\"><q cite=\"" P "/c\"><body background=\"" P "/b\">");
    HTML("<img srcset=\"" B "/1.png 1x, /l 2x," B "/3.png 3x\">", "<img srcset=\"" P "/1.png 1x, /l 2x," P "/3.png 3x\">");
    HTML("<img srcset=\"" B "/a,b.png, " B "/c\">", "<img srcset=\"" P "/a,b.png, " P "/c\">");
    HTML("<meta http-equiv=Refresh content=\"5; URL='" B "/n'\">", "<meta http-equiv=Refresh content=\"5; URL='" P "/n'\">");
    HTML("<meta content='0;url=" B "/n' http-equiv='refresh'>", "<meta content='0;url=" P "/n' http-equiv='refresh'>");
    HTML("<base href=\" " B "/\">", "<base href=\" " P "/\">");
    HTML("<a href=\"HTTP://Backend.Internal:80/x\">", "<a href=\"" P "/x\">");
    HTML("<a href=\"https://deep.internal/app/q\">", "<a href=\"" P "/q\">");
    HTML("<svg><a xlink:href=\"" B "/s\"/></svg>", "<svg><a xlink:href=\"" P "/s\"/></svg>");
    HTML("<p style=\"background:url(" B "/1) , url('" B "/2'), url(&quot;" B "/3&quot;)\">", "<p style=\"background:url(" P "/1) , url('" P "/2'), url(&quot;" P "/3&quot;)\">");
    HTML("<a/href=\"" B "/\"title=\"x\"href2=y>", "<a/href=\"" P "/\"title=\"x\"href2=y>");
}

static void elements(void **state)
{
    (void)state;
    HTML("<style>@import '" B "/a.css'; p{background:url(" B "/b)} /* url(" B "/c) */ q{content:'url(" B "/d)'}</style><a href=" B ">",
         "<style>@import '" P "/a.css'; p{background:url(" P "/b)} /* url(" B "/c) */ q{content:'url(" B "/d)'}</style><a href=" P ">");
    HTML("<script>var a='<a href=\"" B "\">'</script><a href='" B "'>", "<script>var a='<a href=\"" B "\">'</script><a href='" P "'>");
    HTML("<script><!-- <script> </script> <a href='" B "'> --></script><a href='" B "'>", "<script><!-- <script> </script> <a href='" B "'> --></script><a href='" P "'>");
    HTML("<textarea><a href='" B "'></textarea ><a href='" B "'>", "<textarea><a href='" B "'></textarea ><a href='" P "'>");
    HTML("<title><a href='" B "'></titl></title><a href='" B "'>", "<title><a href='" B "'></titl></title><a href='" P "'>");
    HTML("<!-- <a href='" B "'> --><a href='" B "'>", "<!-- <a href='" B "'> --><a href='" P "'>");
    HTML("<!--><a href='" B "'><!---><a href='" B "'><!-- --!><a href='" B "'>", "<!--><a href='" P "'><!---><a href='" P "'><!-- --!><a href='" P "'>");
    HTML("<!doctype html><a href='" B "'>", "<!doctype html><a href='" P "'>");
    HTML("<?php <a> ?><a href='" B "'></3 <a href='" B "'><a href='" B "'>", "<?php <a> ?><a href='" P "'></3 <a href='" B "'><a href='" P "'>");
    HTML("<svg><![CDATA[<a href='" B "'>]]><a href='" B "'/></svg><![CDATA[<a href='" B "'>", "<svg><![CDATA[<a href='" B "'>]]><a href='" P "'/></svg><![CDATA[<a href='" B "'>");
    // What only looks like the end of a comment
    HTML("<!--!><a href='" B "'>--><a href='" B "'>", "<!--!><a href='" B "'>--><a href='" P "'>");
    HTML("<!---!><a href='" B "'>--!><a href='" B "'>", "<!---!><a href='" B "'>--!><a href='" P "'>");
    HTML("<!-- -!><a href='" B "'>--!-><a href='" B "'>--><a href='" B "'>", "<!-- -!><a href='" B "'>--!-><a href='" B "'>--><a href='" P "'>");
    SAME("<plaintext><a href='" B "'></plaintext><a href='" B "'>");
}

static void xhtml(void **state)
{
    (void)state;
    expect(xhtml_links_new, "<title/><a href=\"" B "\"/><script src=\"" B "/s\"/><style>a{b:url(" B ")}</style><![CDATA[<a href='" B "'>]]><textarea><a href='" B "'/></textarea>",
           "<title/><a href=\"" P "\"/><script src=\"" P "/s\"/><style>a{b:url(" P ")}</style><![CDATA[<a href='" B "'>]]><textarea><a href='" P "'/></textarea>");
}

// In svg and math no text is raw, and what cannot stand there ends them.
static void foreign_elements(void **state)
{
    (void)state;
    HTML("<svg><script>'<a href=\"" B "\">'</script></svg><script>'<a href=\"" B "\">'</script>", "<svg><script>'<a href=\"" P "\">'</script></svg><script>'<a href=\"" B "\">'</script>");
    HTML("<svg><title><a href='" B "'></title><style>a{b:url(" B "/1)}<![CDATA[c{d:url(" B "/2)}]]><!-- e{f:url(" B "/3) --></style></svg>",
         "<svg><title><a href='" P "'></title><style>a{b:url(" P "/1)}<![CDATA[c{d:url(" P "/2)}]]><!-- e{f:url(" P "/3) --></style></svg>");
    HTML("<svg><style>a{b:url(" B "/1<a href='" B "'></svg>", "<svg><style>a{b:url(" B "/1<a href='" P "'></svg>");
    HTML("<svg><style/><textarea><a href='" B "'></textarea></svg><textarea><a href='" B "'></textarea>",
         "<svg><style/><textarea><a href='" P "'></textarea></svg><textarea><a href='" B "'></textarea>");
    HTML("<svg><div><textarea><a href='" B "'></textarea>", "<svg><div><textarea><a href='" B "'></textarea>");
    HTML("<svg><font><textarea><a href='" B "'></textarea></svg>", "<svg><font><textarea><a href='" P "'></textarea></svg>");
    HTML("<svg><font color=red><textarea><a href='" B "'></textarea>", "<svg><font color=red><textarea><a href='" B "'></textarea>");
    HTML("<svg><foreignObject><textarea><a href='" B "'></textarea></foreignObject><textarea><a href='" B "'></textarea></svg>",
         "<svg><foreignObject><textarea><a href='" B "'></textarea></foreignObject><textarea><a href='" P "'></textarea></svg>");
    HTML("<math><mi><title><a href='" B "'></title></mi><title><a href='" B "'></title></math>", "<math><mi><title><a href='" B "'></title></mi><title><a href='" P "'></title></math>");
    HTML("<svg/><title><a href='" B "'></title>", "<svg/><title><a href='" B "'></title>");
    HTML("<svg></p><title><a href='" B "'></title>", "<svg></p><title><a href='" B "'></title>");
}

static void untouched(void **state)
{
    (void)state;
    SAME("text " B "/x and <b>" B "</b>");
    SAME("<a data-href=\"" B "\" alt='" B "' title=" B "><input value=\"" B "/\">");
    SAME("<a href=\"http://backend.internal.evil.example/\">");
    SAME("<a href=\"http://backend.internal@evil.example/\"><a href=\"http://u@backend.internal/\">");
    SAME("<a href=\"http://backend.internal:81/\"><a href='https://backend.internal/'><a href='http://xbackend.internal'>");
    SAME("<a href=\"/local\"><a href='mailto:x@backend.internal'><a href='?u=" B "'>");
    SAME("<a href=\"https://deep.internal/apple\"><a href='https://deep.internal/'>");
    SAME("<a title='x' \"href='" B "'>");
    SAME("</a href=\"" B "\">");
    SAME("<a href=\"" B "/cut");
    SAME("a < b <3 <");
    SAME("<meta name=description content='0;url=" B "'>");
    SAME("");
}

static void style_sheets(void **state)
{
    (void)state;
    expect(css_links_new, "@import url(\"" B "/a\") screen;\n@import\t'" B "/b';p{a:URL( " B "/c )}", "@import url(\"" P "/a\") screen;\n@import\t'" P "/b';p{a:URL( " P "/c )}");
    expect(css_links_new, "p{content:\"" B "/x\";b:curl(" B ")}", "p{content:\"" B "/x\";b:curl(" B ")}");
    expect(css_links_new, "/* @import '" B "' */ a{b:url(/x)}", "/* @import '" B "' */ a{b:url(/x)}");
    expect(css_links_new, "a{b:url(" B "/x", "a{b:url(" B "/x");
    expect(css_links_new, "a{c:'it\\'s url(" B ")';d:url(" B ")}", "a{c:'it\\'s url(" B ")';d:url(" P ")}");
}

static void exact_strings(void **state)
{
    (void)state;
    expect(text_links_new, "{\"u\":\"" B "/x\",\"e\":\"http:\\/\\/backend.internal\\/y\"}", "{\"u\":\"" P "/x\",\"e\":\"https:\\/\\/shop.test\\/y\"}");
    expect(text_links_new, B ".evil " B "-x " B ":81 x" B, B ".evil " B "-x " B ":81 x" P);
    expect(text_links_new, "hhttp://127.0.0.1:18081 http://127.0.0.1:180811 " B, "h" P " http://127.0.0.1:180811 " P);
}

// Mounted under another path: what names the origin or is a path alone gets the prefix, what has it already does not.
static void under_a_prefix(void **state)
{
    (void)state;
    static const struct {
        make_fn make;
        const char *in, *want;
    } rows[] = {
        {html_links_new, "<a href='" B "/x'><a href=/y><a href='/wiki/z'><a href='/wikipedia'><a href=rel><a href='//other/q'>",
         "<a href='" P "/wiki/x'><a href=/wiki/y><a href='/wiki/z'><a href='/wiki/wikipedia'><a href=rel><a href='//other/q'>"},
        {css_links_new, "a{b:url(/c)}", "a{b:url(/wiki/c)}"},
        {html_links_new, "<a href='/app/x'><a href=/app><a href='/app?q'><a href=/apple><a href='https://deep.internal/app/y'>",
         "<a href='/wiki/x'><a href=/wiki><a href='/wiki?q'><a href=/wiki/apple><a href='" P "/wiki/y'>"},
        {text_links_new, "\"/x\" http:\\/\\/backend.internal\\/", "\"/x\" https:\\/\\/shop.test\\/wiki\\/"},
    };
    struct fixture f;
    fixture_init(&f);
    f.map.prefix = SPAN("/wiki");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *got = run_all(rows[i].make, &f.map, rows[i].in, strlen(rows[i].in), 5, 0);
        assert_string_equal(got, rows[i].want);
        free(got);
    }
    arena_fini(&f.arena);
}

static void refresh(void **state)
{
    (void)state;
    static const struct {
        const char *in, *url; // NULL: none
    } rows[] = {{"5; url=http://a/", "http://a/"}, {"0;URL = 'x y' z", "x y"}, {"3,/z", "/z"}, {"5", NULL}, {" 1.5 ; url=\"q", "q"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t start, len;
        bool is = link_in_refresh(span_str(rows[i].in), &start, &len);
        assert_int_equal(is, rows[i].url != NULL);
        if (is)
            assert_true(span_eq(span_of(rows[i].in + start, len), span_str(rows[i].url)));
    }
}

static void origins(void **state)
{
    (void)state;
    static const char *const bad[] = {"ftp://x", "http://", "http://u@x", "http://x:99999", "x", "http://x/?q", "http://a b"};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct link_origin o;
        assert_false(link_origin_parse(span_str(bad[i]), &f.arena, &o));
    }
    arena_fini(&f.arena);
}

// Pieces of markup in random order: the whole at once and in pieces come out alike, and with no origin the same comes out.
static void random_documents(void **state)
{
    (void)state;
    static const char *const parts[] = {"<a href=\"" B "/\">", "<", ">", "\"", "'", "<!--", "-->", "--!>", "<script>", "</script>", "<style>", "</style>", "url(", ")", B "/", "@import ",
                                        "<svg>", "</svg>", "<![CDATA[", "]]>", "<img srcset='" B "/1 1x, " B "/2 2x'", "/", "=", " ", "\n", "-", "<p style=\"", "&quot;", "/*", "*/", "\\", "<title>",
                                        "</title>", "href=", "src=" B, "\xc3\xa4", "<meta http-equiv=refresh content='0;url=" B "'>"};
    struct fixture f;
    fixture_init(&f);
    struct link_map none = {f.origins, 0, SPAN("https"), SPAN("shop.test"), SPAN("")};
    for (uint32_t seed = 1; seed < 1500; seed++) {
        struct text doc = {NULL, 0, 0};
        uint32_t r = seed;
        for (unsigned n = test_random(&r) % 60 + 1; n; n--) {
            const char *p = parts[test_random(&r) % ARRAY_LEN(parts)];
            text_add(&doc, p, strlen(p));
        }
        char *whole = run_all(html_links_new, &f.map, doc.ptr, doc.len, SIZE_MAX / 2, 0), *bytes = run_all(html_links_new, &f.map, doc.ptr, doc.len, 1, 0);
        char *some = run_all(html_links_new, &f.map, doc.ptr, doc.len, 0, seed), *same = run_all(html_links_new, &none, doc.ptr, doc.len, 3, 0);
        assert_string_equal(whole, bytes);
        assert_string_equal(whole, some);
        text_add(&doc, "", 1);
        assert_string_equal(same, doc.ptr);
        free(whole);
        free(bytes);
        free(some);
        free(same);
        free(doc.ptr);
    }
    arena_fini(&f.arena);
}

// A tag, a url() and a string beyond what is held pass; what follows is looked at again.
static void too_long(void **state)
{
    (void)state;
    static const struct {
        make_fn make;
        const char *before, *fill, *after, *want;
    } rows[] = {
        {html_links_new, "<a title='", "x", "' href='" B "'><a href='" B "'>", "' href='" B "'><a href='" P "'>"},
        {html_links_new, "<style>a{b:url(", "y", ")}</style><a href='" B "'>", ")}</style><a href='" P "'>"},
        {css_links_new, "@import '", "z", "';a{b:url(" B ")}", "';a{b:url(" P ")}"},
    };
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 777; piece < 2000000; piece *= 40) {
            struct text doc = {NULL, 0, 0};
            text_add(&doc, rows[i].before, strlen(rows[i].before));
            for (unsigned n = 0; n < 200000; n++)
                text_add(&doc, rows[i].fill, 1);
            size_t head = doc.len;
            text_add(&doc, rows[i].after, strlen(rows[i].after));
            char *got = run_all(rows[i].make, &f.map, doc.ptr, doc.len, piece, 0);
            assert_memory_equal(got, doc.ptr, head);
            assert_string_equal(got + head, rows[i].want);
            free(got);
            free(doc.ptr);
        }
    }
    arena_fini(&f.arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes), cmocka_unit_test(elements), cmocka_unit_test(foreign_elements), cmocka_unit_test(xhtml), cmocka_unit_test(untouched), cmocka_unit_test(style_sheets), cmocka_unit_test(exact_strings),
        cmocka_unit_test(under_a_prefix), cmocka_unit_test(refresh),    cmocka_unit_test(origins),  cmocka_unit_test(random_documents), cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
