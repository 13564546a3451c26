// SPDX-License-Identifier: Apache-2.0
#include "filter/html_foreign.h"

#include "base/macros.h"

// The elements with children by foreign rules, then those within them whose children are HTML again.
enum element { SVG, MATH, FIRST_INNER, FOREIGN_OBJECT = FIRST_INNER, DESC, TITLE, MI, MO, MN, MS, MTEXT, N_ELEMENTS };

static const struct {
    struct span name;
    enum element within; // for those whose children are HTML
} elements[N_ELEMENTS] = {
    [SVG] = {SPAN_INIT("svg"), SVG},   [MATH] = {SPAN_INIT("math"), MATH}, [FOREIGN_OBJECT] = {SPAN_INIT("foreignobject"), SVG},
    [DESC] = {SPAN_INIT("desc"), SVG}, [TITLE] = {SPAN_INIT("title"), SVG}, [MI] = {SPAN_INIT("mi"), MATH},
    [MO] = {SPAN_INIT("mo"), MATH},    [MN] = {SPAN_INIT("mn"), MATH},     [MS] = {SPAN_INIT("ms"), MATH},
    [MTEXT] = {SPAN_INIT("mtext"), MATH},
};

// Tags that cannot stand in foreign content: they end it.
static const struct span breaking[] = {
    SPAN_INIT("b"),    SPAN_INIT("big"),    SPAN_INIT("blockquote"), SPAN_INIT("body"),   SPAN_INIT("br"),  SPAN_INIT("center"), SPAN_INIT("code"),
    SPAN_INIT("dd"),   SPAN_INIT("div"),    SPAN_INIT("dl"),         SPAN_INIT("dt"),     SPAN_INIT("em"),  SPAN_INIT("embed"),  SPAN_INIT("h1"),
    SPAN_INIT("h2"),   SPAN_INIT("h3"),     SPAN_INIT("h4"),         SPAN_INIT("h5"),     SPAN_INIT("h6"),  SPAN_INIT("head"),   SPAN_INIT("hr"),
    SPAN_INIT("i"),    SPAN_INIT("img"),    SPAN_INIT("li"),         SPAN_INIT("listing"), SPAN_INIT("menu"), SPAN_INIT("meta"),  SPAN_INIT("nobr"),
    SPAN_INIT("ol"),   SPAN_INIT("p"),      SPAN_INIT("pre"),        SPAN_INIT("ruby"),   SPAN_INIT("s"),   SPAN_INIT("small"),  SPAN_INIT("span"),
    SPAN_INIT("strong"), SPAN_INIT("strike"), SPAN_INIT("sub"),      SPAN_INIT("sup"),    SPAN_INIT("table"), SPAN_INIT("tt"),   SPAN_INIT("u"),
    SPAN_INIT("ul"),   SPAN_INIT("var"),
};

bool html_foreign_is(const struct html_foreign *f)
{
    return f->n && f->v[f->n - 1] < FIRST_INNER;
}

static enum element element_of(struct span name)
{
    unsigned i = 0;
    while (i < N_ELEMENTS && !(elements[i].name.len == name.len && span_eq_ci(elements[i].name, name)))
        i++;
    return (enum element)i;
}

static bool is_breaking(struct span name, bool colored)
{
    if (colored && span_eq_ci(name, SPAN("font")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(breaking); i++)
        if (breaking[i].len == name.len && span_eq_ci(breaking[i], name))
            return true;
    return false;
}

static void leave(struct html_foreign *f)
{
    while (html_foreign_is(f))
        f->n--;
}

bool html_foreign_start(struct html_foreign *f, struct span name, bool self_closing, bool colored)
{
    bool foreign = html_foreign_is(f);
    if (foreign && is_breaking(name, colored)) {
        leave(f);
        return false;
    }
    enum element e = element_of(name);
    bool opens = e == SVG || e == MATH || (foreign && e < N_ELEMENTS && (enum element)f->v[f->n - 1] == elements[e].within);
    // svg in svg is one more element; svg in math is none that changes the rules.
    if (opens && !self_closing && f->n < HTML_FOREIGN_MAX && (!foreign || e >= FIRST_INNER || (enum element)f->v[f->n - 1] == e))
        f->v[f->n++] = (unsigned char)e;
    return foreign;
}

void html_foreign_end(struct html_foreign *f, struct span name)
{
    bool foreign = html_foreign_is(f);
    if (foreign && (span_eq_ci(name, SPAN("p")) || span_eq_ci(name, SPAN("br")))) {
        leave(f);
        return;
    }
    enum element e = f->n ? element_of(name) : N_ELEMENTS;
    unsigned n = f->n;
    while (n && (enum element)f->v[n - 1] != e)
        n--;
    if (n && (e < FIRST_INNER || n == f->n)) // the end of svg ends what is open within
        f->n = n - 1;
}
