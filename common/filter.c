/* SPDX-License-Identifier: MPL-2.0
 *
 * A filter is a list of nodes, each behind those that it is made of; the last one is the whole.
 */
#include "common/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

/* Terms, and what joins or turns them round: at most one `not` or `!=`, each a node, for each level
 * of depth of each term, in a text of 4 KiB. */
#define NODES_MAX (4u * ZSP_FILTER_TERMS_MAX)
#define SHOWN_MAX 24u

enum node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_EQUAL, NODE_BEGINS, NODE_EXISTS };
enum field { FIELD_TYPE, FIELD_KEY, FIELD_HEADER };

struct node {
    uint8_t kind;          /* enum node_kind */
    uint8_t field;         /* terms: enum field */
    uint8_t header;        /* which of the filter's headers */
    uint16_t first;        /* AND, OR, NOT: a node; terms: of texts */
    uint16_t second;       /* AND, OR: a node; EQUAL, BEGINS: how many texts */
    struct zsp_slice name; /* of a header */
};

struct zsp_filter {
    struct zsp_slice text; /* into bytes, as are all slices */
    uint16_t node_count, text_count;
    uint16_t header_count;
    struct zsp_slice *headers; /* names, each once, in order; behind the nodes */
    struct zsp_slice *texts;   /* behind them */
    uint8_t *bytes;            /* behind them: the text, what its literals stand for */
    struct node nodes[];
};

/* --- Words -------------------------------------------------------------------------------------------- */

enum word_kind { WORD_END, WORD_NAME, WORD_TEXT, WORD_SIGN, WORD_BAD };

struct word {
    enum word_kind kind;
    size_t pos;            /* where it begins */
    struct zsp_slice text; /* NAME, SIGN: as it is there; TEXT: what it stands for */
    const char *wanted;    /* BAD: instead */
};

struct parser {
    struct zsp_slice in; /* the filter's text */
    size_t pos;          /* behind `word` */
    struct word word;    /* the one at hand */
    uint8_t *out;        /* where the next literal goes */
    unsigned depth;
    unsigned term_count;
    uint16_t node_count, text_count;
    struct zsp_err *err;
    struct node nodes[NODES_MAX];
    struct zsp_slice texts[ZSP_FILTER_TEXTS_MAX];
};

static bool is_name_byte(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '.';
}

static int hex_of(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t lower = byte >= 'A' && byte <= 'F' ? (uint8_t)(byte + 'a' - 'A') : byte;
    const char *found = lower != 0 ? strchr(digits, lower) : NULL;
    return found ? (int)(found - digits) : -1;
}

static struct word bad_word(size_t pos, const char *wanted)
{
    return (struct word){.kind = WORD_BAD, .pos = pos, .wanted = wanted};
}

/* What follows a backslash at `pos`; returns the position behind it, 0 = nothing that is known. */
static size_t read_escape(struct zsp_slice in, size_t pos, uint8_t *ret)
{
    static const char names[] = "\"\\nt";
    static const char bytes[] = "\"\\\n\t";
    if (pos >= in.len || in.data[pos] == '\0') {
        return 0;
    }
    const char *found = strchr(names, in.data[pos]);
    if (found) {
        *ret = (uint8_t)bytes[found - names];
        return pos + 1;
    }
    if (in.data[pos] != 'x' || in.len - pos < 3) {
        return 0;
    }
    const int high = hex_of(in.data[pos + 1]);
    const int low = hex_of(in.data[pos + 2]);
    *ret = (uint8_t)(high * 16 + low);
    return high < 0 || low < 0 ? 0 : pos + 3;
}

/* The literal whose quote is at `pos`. */
static struct word read_text(struct parser *self, size_t pos)
{
    struct word word = {.kind = WORD_TEXT, .pos = pos, .text = {self->out, 0}};
    size_t at = pos + 1;
    while (at < self->in.len && self->in.data[at] != '"') {
        uint8_t byte = self->in.data[at++];
        if (byte == '\\') {
            const size_t next = read_escape(self->in, at, &byte);
            if (next == 0) {
                return bad_word(at - 1, "\\\", \\\\, \\n, \\t or \\x and two hex digits");
            }
            at = next;
        }
        *self->out++ = byte; /* never more bytes than the text has */
        word.text.len++;
    }
    if (at == self->in.len) {
        return bad_word(at, "a closing \"");
    }
    self->pos = at + 1;
    return word;
}

/* Take the next word in hand. */
static void next_word(struct parser *self)
{
    const uint8_t *in = self->in.data;
    while (self->pos < self->in.len && (in[self->pos] == ' ' || in[self->pos] == '\t' ||
                                        in[self->pos] == '\n' || in[self->pos] == '\r')) {
        self->pos++;
    }
    const size_t pos = self->pos;
    size_t end = pos;
    if (pos == self->in.len) {
        self->word = (struct word){.kind = WORD_END, .pos = pos};
        return;
    }
    if (in[pos] == '"') {
        self->word = read_text(self, pos);
        return;
    }
    while (end < self->in.len && is_name_byte(in[end])) {
        end++;
    }
    const bool is_name = end > pos;
    if (!is_name) {
        const bool is_two =
            self->in.len - pos > 1 && in[pos + 1] == '=' && (in[pos] == '!' || in[pos] == '^');
        end = pos + (is_two ? 2 : 1);
    }
    self->pos = end;
    self->word = (struct word){
        .kind = is_name ? WORD_NAME : WORD_SIGN, .pos = pos, .text = {in + pos, end - pos}};
}

static bool is_word(const struct parser *self, const char *text)
{
    return (self->word.kind == WORD_NAME || self->word.kind == WORD_SIGN) &&
           zsp_slice_equal_str(self->word.text, text);
}

/* --- Errors ------------------------------------------------------------------------------------------- */

/* What is there, for people: printable, cut. */
static void show_found(const struct parser *self, char *ret)
{
    const size_t pos = self->word.pos;
    const size_t end = self->word.kind == WORD_TEXT || self->word.kind == WORD_BAD
                           ? self->in.len
                           : pos + self->word.text.len;
    size_t len = 0;
    if (pos >= self->in.len) {
        (void)snprintf(ret, SHOWN_MAX + 4, "the end");
        return;
    }
    for (size_t i = pos; i < end && len < SHOWN_MAX; i++) {
        const uint8_t byte = self->in.data[i];
        ret[len++] = (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
    }
    (void)snprintf(ret + len, 4, "%s", end - pos > len ? "..." : "");
}

static int refuse(struct parser *self, const char *wanted)
{
    char found[SHOWN_MAX + 4];
    const char *told = self->word.kind == WORD_BAD ? self->word.wanted : wanted;
    show_found(self, found);
    (void)zsp_err_set(self->err, ZSP_EBAD_VALUE, "filter: position %zu: wanted %s, got %s",
                      self->word.pos, told, found);
    zsp_err_detail(self->err, "filter", told, found);
    return ZSP_EBAD_VALUE;
}

static int refuse_limit(struct parser *self, unsigned most, const char *what)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "at most %u %s", most, what);
    (void)zsp_err_set(self->err, ZSP_EBAD_VALUE, "filter: position %zu: %s", self->word.pos,
                      wanted);
    zsp_err_detail(self->err, "filter", wanted, NULL);
    return ZSP_EBAD_VALUE;
}

/* --- Parsing ------------------------------------------------------------------------------------------ */

static int add_node(struct parser *self, const struct node *node)
{
    if (self->node_count == NODES_MAX) {
        return refuse_limit(self, NODES_MAX, "terms, ands, ors and nots");
    }
    self->nodes[self->node_count++] = *node;
    return 0;
}

static int turn_round(struct parser *self)
{
    const struct node node = {.kind = NODE_NOT, .first = (uint16_t)(self->node_count - 1)};
    return add_node(self, &node);
}

static int add_text(struct parser *self, struct node *node)
{
    if (self->word.kind != WORD_TEXT) {
        return refuse(self, "a text in double quotes");
    }
    if (self->text_count == ZSP_FILTER_TEXTS_MAX) {
        return refuse_limit(self, ZSP_FILTER_TEXTS_MAX, "texts");
    }
    self->texts[self->text_count++] = self->word.text;
    node->second++;
    next_word(self);
    return 0;
}

/* The list of `in`, whose word was taken. */
static int read_list(struct parser *self, struct node *node)
{
    if (!is_word(self, "(")) {
        return refuse(self, "(");
    }
    do {
        next_word(self);
        const int rc = add_text(self, node);
        if (rc < 0) {
            return rc;
        }
    } while (is_word(self, ","));
    if (!is_word(self, ")")) {
        return refuse(self, ", or )");
    }
    next_word(self);
    return 0;
}

static int read_field(struct parser *self, struct node *node)
{
    static const char prefix[] = "header.";
    const size_t len = sizeof prefix - 1;
    const struct zsp_slice text = self->word.text;
    if (is_word(self, "type") || is_word(self, "key")) {
        node->field = is_word(self, "type") ? FIELD_TYPE : FIELD_KEY;
        next_word(self);
        return 0;
    }
    if (self->word.kind != WORD_NAME || text.len < len || memcmp(text.data, prefix, len) != 0) {
        return refuse(self, "type, key, header.NAME, not or (");
    }
    node->field = FIELD_HEADER;
    node->name = (struct zsp_slice){text.data + len, text.len - len};
    if (node->name.len == 0) { /* header."a name with blanks" */
        const bool adjoins = self->pos < self->in.len && self->in.data[self->pos] == '"';
        next_word(self);
        if (!adjoins || self->word.kind != WORD_TEXT) {
            return refuse(self, "the name of a header");
        }
        node->name = self->word.text;
    }
    next_word(self);
    return 0;
}

static int read_term(struct parser *self)
{
    struct node node = {.kind = NODE_EQUAL, .first = self->text_count};
    if (self->term_count++ == ZSP_FILTER_TERMS_MAX) {
        return refuse_limit(self, ZSP_FILTER_TERMS_MAX, "terms");
    }
    int rc = read_field(self, &node);
    if (rc < 0) {
        return rc;
    }
    const bool is_unequal = is_word(self, "!=");
    if (is_word(self, "exists")) {
        node.kind = NODE_EXISTS;
        next_word(self);
    } else if (is_word(self, "in")) {
        next_word(self);
        rc = read_list(self, &node);
    } else if (is_word(self, "=") || is_word(self, "^=") || is_unequal) {
        node.kind = is_word(self, "^=") ? NODE_BEGINS : NODE_EQUAL;
        next_word(self);
        rc = add_text(self, &node);
    } else {
        rc = refuse(self, "=, !=, ^=, in or exists");
    }
    rc = rc == 0 ? add_node(self, &node) : rc;
    return rc == 0 && is_unequal ? turn_round(self) : rc;
}

static int read_filter(struct parser *self);

static int read_inner(struct parser *self)
{
    const bool is_not = is_word(self, "not");
    if (!is_not && !is_word(self, "(")) {
        return read_term(self);
    }
    if (self->depth == ZSP_FILTER_DEPTH_MAX) {
        return refuse_limit(self, ZSP_FILTER_DEPTH_MAX, "parentheses and nots inside each other");
    }
    self->depth++;
    next_word(self);
    int rc = is_not ? read_inner(self) : read_filter(self);
    if (rc == 0 && is_not) {
        rc = turn_round(self);
    } else if (rc == 0 && !is_word(self, ")")) {
        rc = refuse(self, "and, or, or )");
    } else if (rc == 0) {
        next_word(self);
    }
    self->depth--;
    return rc;
}

/* One or more of what `read_fn` reads, with a word between them. */
static int read_joined(struct parser *self, const char *word, enum node_kind kind,
                       int (*read_fn)(struct parser *self))
{
    int rc = read_fn(self);
    while (rc == 0 && is_word(self, word)) {
        struct node node = {.kind = (uint8_t)kind, .first = (uint16_t)(self->node_count - 1)};
        next_word(self);
        rc = read_fn(self);
        if (rc == 0) {
            node.second = (uint16_t)(self->node_count - 1);
            rc = add_node(self, &node);
        }
    }
    return rc;
}

static int read_all(struct parser *self)
{
    return read_joined(self, "and", NODE_AND, read_inner);
}

static int read_filter(struct parser *self)
{
    return read_joined(self, "or", NODE_OR, read_all);
}

/* --- Life --------------------------------------------------------------------------------------------- */

/* By length first: most names are told apart by it. */
static int compare_names(struct zsp_slice a, struct zsp_slice b)
{
    return a.len != b.len ? (a.len > b.len) - (a.len < b.len) : memcmp(a.data, b.data, a.len);
}

/* Where the name is, or belongs, among the headers; *ret_found = it is there. */
static uint16_t find_header(const struct zsp_filter *self, struct zsp_slice name, bool *ret_found)
{
    uint16_t low = 0;
    uint16_t high = self->header_count;
    *ret_found = false;
    while (low < high && !*ret_found) {
        const uint16_t middle = (uint16_t)((low + high) / 2);
        const int order = compare_names(self->headers[middle], name);
        *ret_found = order == 0;
        low = order < 0 ? (uint16_t)(middle + 1) : low;
        high = order > 0 ? middle : high;
        low = *ret_found ? middle : low;
    }
    return low;
}

/* Each header that is named, once. */
static void number_headers(struct zsp_filter *self)
{
    bool found = false;
    for (uint16_t i = 0; i < self->node_count; i++) {
        const struct zsp_slice name = self->nodes[i].name;
        const uint16_t at = name.data ? find_header(self, name, &found) : 0;
        if (name.data && !found) {
            memmove(self->headers + at + 1, self->headers + at,
                    (size_t)(self->header_count - at) * sizeof *self->headers);
            self->headers[at] = name;
            self->header_count++;
        }
    }
    for (uint16_t i = 0; i < self->node_count; i++) {
        if (self->nodes[i].name.data) {
            self->nodes[i].header = (uint8_t)find_header(self, self->nodes[i].name, &found);
        }
    }
}

/* From the text and literals at `from` to those at `to`. */
static void move_slice(struct zsp_slice *slice, const uint8_t *from, const uint8_t *to)
{
    slice->data = slice->data ? to + (slice->data - from) : NULL;
}

/* The parser's result in one block; `bytes` hold the text and its literals. */
static struct zsp_filter *keep(const struct parser *parser, const uint8_t *bytes, size_t byte_count)
{
    const size_t node_bytes = parser->node_count * sizeof(struct node);
    const size_t header_bytes = parser->term_count * sizeof(struct zsp_slice);
    const size_t text_bytes = parser->text_count * sizeof(struct zsp_slice);
    struct zsp_filter *self =
        calloc(1, sizeof *self + node_bytes + header_bytes + text_bytes + byte_count);
    if (!self) {
        return NULL;
    }
    self->node_count = parser->node_count;
    self->text_count = parser->text_count;
    self->headers = (struct zsp_slice *)(void *)((uint8_t *)self->nodes + node_bytes);
    self->texts = (struct zsp_slice *)(void *)((uint8_t *)self->headers + header_bytes);
    self->bytes = (uint8_t *)self->texts + text_bytes;
    memcpy(self->nodes, parser->nodes, node_bytes);
    memcpy(self->texts, parser->texts, text_bytes);
    memcpy(self->bytes, bytes, byte_count);
    self->text = (struct zsp_slice){self->bytes, parser->in.len};
    for (uint16_t i = 0; i < self->node_count; i++) {
        move_slice(&self->nodes[i].name, bytes, self->bytes);
    }
    for (uint16_t i = 0; i < self->text_count; i++) {
        move_slice(&self->texts[i], bytes, self->bytes);
    }
    number_headers(self);
    return self;
}

int zsp_filter_new(struct zsp_slice text, struct zsp_filter **ret, struct zsp_err *err)
{
    if (text.len > ZSP_FILTER_MAX) {
        (void)zsp_err_set(err, ZSP_EBAD_VALUE, "filter: %zu bytes are more than %u", text.len,
                          ZSP_FILTER_MAX);
        zsp_err_detail(err, "filter", "at most 4096 bytes", NULL);
        return ZSP_EBAD_VALUE;
    }
    uint8_t *bytes = calloc(1, 2 * text.len + 1);
    struct parser *parser = bytes ? calloc(1, sizeof *parser) : NULL;
    int rc = ZSP_ENOMEM;
    if (!parser) {
        (void)zsp_err_set(err, rc, "filter: out of memory");
    } else {
        memcpy(bytes, text.data ? text.data : bytes, text.len);
        parser->in = (struct zsp_slice){bytes, text.len};
        parser->out = bytes + text.len;
        parser->err = err;
        next_word(parser);
        rc = read_filter(parser);
        if (rc == 0 && parser->word.kind != WORD_END) {
            rc = refuse(parser, "and, or, or the end");
        }
    }
    if (rc == 0) {
        struct zsp_filter *made = keep(parser, bytes, (size_t)(parser->out - bytes));
        rc = made ? 0 : zsp_err_set(err, ZSP_ENOMEM, "filter: out of memory");
        *ret = made ? made : *ret;
    }
    free(parser);
    free(bytes);
    return rc;
}

void zsp_filter_destroy(struct zsp_filter **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

struct zsp_slice zsp_filter_text(const struct zsp_filter *self)
{
    return self->text;
}

/* --- Evaluation --------------------------------------------------------------------------------------- */

/* The values of all headers that the filter names, in one walk over those of the message, whichever
 * there are more of; the first of two with one name counts. */
static void look_up_headers(const struct zsp_filter *self, const struct zsp_record *record,
                            struct zsp_slice values[ZSP_FILTER_TERMS_MAX])
{
    struct zsp_slice rest =
        self->header_count > 0 ? zsp_record_headers(record) : (struct zsp_slice){NULL, 0};
    struct zsp_slice name, value;
    uint16_t left = self->header_count;
    bool is_text, found;
    memset(values, 0, self->header_count * sizeof *values);
    while (left > 0 && zsp_record_header_next(&rest, &name, &value, &is_text) == 0) {
        const uint16_t at = find_header(self, name, &found);
        if (found && !values[at].data) {
            values[at] = value;
            left--;
        }
    }
}

static bool matches_term(const struct zsp_filter *self, const struct node *node,
                         const struct zsp_record *record, const struct zsp_slice *headers)
{
    const struct zsp_slice value = node->field == FIELD_TYPE  ? record->type
                                   : node->field == FIELD_KEY ? record->key
                                                              : headers[node->header];
    if (!value.data || node->kind == NODE_EXISTS) {
        return value.data != NULL;
    }
    for (uint16_t i = 0; i < node->second; i++) {
        const struct zsp_slice text = self->texts[node->first + i];
        const struct zsp_slice start = {
            value.data, node->kind == NODE_BEGINS && text.len < value.len ? text.len : value.len};
        if (zsp_slice_equal(start, text)) {
            return true;
        }
    }
    return false;
}

bool zsp_filter_matches(const struct zsp_filter *self, const struct zsp_record *record)
{
    struct zsp_slice headers[ZSP_FILTER_TERMS_MAX];
    bool is_true[NODES_MAX]; /* each node stands behind those that it is made of */
    look_up_headers(self, record, headers);
    for (uint16_t i = 0; i < self->node_count; i++) {
        const struct node *node = &self->nodes[i];
        switch ((enum node_kind)node->kind) {
        case NODE_AND:
            is_true[i] = is_true[node->first] && is_true[node->second];
            break;
        case NODE_OR:
            is_true[i] = is_true[node->first] || is_true[node->second];
            break;
        case NODE_NOT:
            is_true[i] = !is_true[node->first];
            break;
        case NODE_EQUAL:
        case NODE_BEGINS:
        case NODE_EXISTS:
            is_true[i] = matches_term(self, node, record, headers);
            break;
        }
    }
    zsp_assert(self->node_count > 0); /* there is no filter without a term */
    return is_true[self->node_count - 1];
}
