// SPDX-License-Identifier: Apache-2.0
// The OpenAPI document, from the table of endpoints.
#include <stdarg.h>

#include "base/ascii.h"
#include "proxy/api.h"

struct writing {
    struct arena *a;
    struct span out;
};

static void put(struct writing *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct writing *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct span s = arena_vprintf(t->a, fmt, ap);
    va_end(ap);
    t->out = t->out.ptr && s.ptr ? arena_join(t->a, t->out, s) : SPAN_NONE;
}

static struct span bare(struct span name, bool *ret_wanted)
{
    *ret_wanted = span_ends(name, SPAN("!"));
    return *ret_wanted ? span_first(name, name.len - 1) : name;
}

static void put_parameter(struct writing *t, struct span name, const char *in, bool wanted, bool *first)
{
    put(t, "%s{\"name\": \"%.*s\", \"in\": \"%s\", \"required\": %s, \"schema\": {\"type\": \"string\"}}",
        *first ? "" : ", ", SPAN_ARG(name), in, wanted ? "true" : "false");
    *first = false;
}

static void put_parameters(struct writing *t, const struct api_row *r)
{
    bool first = true, wanted;
    put(t, "\"parameters\": [");
    for (struct span rest = r->path; rest.ptr;) {
        struct span segment = span_cut(&rest, '/');
        if (segment.len > 2 && segment.ptr[0] == '{')
            put_parameter(t, span_of(segment.ptr + 1, segment.len - 2), "path", true, &first);
    }
    for (struct span rest = span_str(r->params); rest.len;) {
        struct span name = bare(span_cut(&rest, ' '), &wanted);
        put_parameter(t, name, "query", wanted, &first);
    }
    if (span_eq(r->method, SPAN("PUT")))
        put(t,
            "%s{\"name\": \"If-Match\", \"in\": \"header\", \"required\": true, \"description\": \"The ETag "
            "of the configuration that is to be replaced.\", \"schema\": {\"type\": \"string\"}}",
            first ? "" : ", ");
    put(t, "], ");
}

static void put_content(struct writing *t, const struct api_row *r)
{
    struct span required = SPAN("");
    bool first = true, wanted;
    if (!*r->content)
        return;
    if (strcmp(r->content, "text") == 0) {
        put(t, "\"requestBody\": {\"required\": true, \"content\": {\"text/plain\": {\"schema\": {\"type\": "
               "\"string\"}}}}, ");
        return;
    }
    put(t, "\"requestBody\": {\"required\": true, \"content\": {\"application/json\": {\"schema\": "
           "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
    for (struct span rest = span_str(r->content); rest.len;) {
        struct span name = bare(span_cut(&rest, ' '), &wanted);
        bool flag = span_eq(name, SPAN("all")) || span_eq(name, SPAN("soft"));
        put(t, "%s\"%.*s\": {\"type\": \"%s\"}", first ? "" : ", ", SPAN_ARG(name),
            flag ? "boolean" : "string");
        if (wanted)
            required = arena_printf(t->a, "%.*s%s\"%.*s\"", SPAN_ARG(required), required.len ? ", " : "",
                                    SPAN_ARG(name));
        first = false;
    }
    put(t, "}, \"required\": [%.*s]}}}}, ", SPAN_ARG(required));
}

static void put_operation(struct writing *t, const struct api_row *r)
{
    char method[16];
    size_t n = 0;
    for (; n < r->method.len && n < sizeof method - 1; n++)
        method[n] = (char)ascii_lower((unsigned char)r->method.ptr[n]);
    method[n] = '\0';
    struct span text = api_json(t->a, span_str(r->text)), answers = api_json(t->a, span_str(r->answers));
    bool events = strcmp(r->answers, "text/event-stream") == 0;
    put(t, "      \"%s\": {\"summary\": %.*s, ", method, SPAN_ARG(text));
    put_parameters(t, r);
    put_content(t, r);
    put(t, "\"security\": [%s{\"token\": []}], ", r->access == API_READ ? "{}, " : "");
    put(t,
        "\"responses\": {\"200\": {\"description\": %.*s, \"content\": {\"%s\": {\"schema\": {}}}}, "
        "\"default\": {\"$ref\": \"#/components/responses/problem\"}}}",
        SPAN_ARG(answers), events ? "text/event-stream" : "application/json");
}

struct span api_document(struct arena *a)
{
    struct writing t = {a, SPAN("")};
    unsigned n;
    const struct api_row *rows = api_rows(&n);
    put(&t,
        "{\n  \"openapi\": \"3.0.3\",\n  \"info\": {\"title\": \"weir\", \"version\": \"%s\", "
        "\"description\": \"What the control socket's commands do, at the address of the dashboard.\"},\n  "
        "\"paths\": {\n",
        WEIR_VERSION);
    for (unsigned i = 0; i < n; i++) {
        bool seen = false, first = true;
        for (unsigned k = 0; k < i; k++)
            seen |= span_eq(rows[k].path, rows[i].path);
        if (seen)
            continue;
        put(&t, "%s    \"%.*s\": {\n", i ? ",\n" : "", SPAN_ARG(rows[i].path));
        for (unsigned k = i; k < n; k++) {
            if (!span_eq(rows[k].path, rows[i].path))
                continue;
            put(&t, "%s", first ? "" : ",\n");
            put_operation(&t, &rows[k]);
            first = false;
        }
        put(&t, "\n    }");
    }
    put(&t, "\n  },\n  \"components\": {\n    \"securitySchemes\": {\"token\": {\"type\": \"http\", "
            "\"scheme\": \"bearer\"}},\n"
            "    \"responses\": {\"problem\": {\"description\": \"What is wrong (RFC 9457)\", \"content\": "
            "{\"application/problem+json\": {\"schema\": {\"type\": \"object\", \"properties\": "
            "{\"type\": {\"type\": \"string\"}, \"title\": {\"type\": \"string\"}, \"status\": {\"type\": "
            "\"integer\"}, \"detail\": {\"type\": \"string\"}, \"reason\": {\"type\": \"string\"}, \"id\": "
            "{\"type\": \"string\"}}}}}}}\n  }\n}\n");
    return t.out;
}
