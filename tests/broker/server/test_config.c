/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/config.h"

static struct config config; /* too large for comfort on a stack */

static int read_text(const char *text, struct zsp_err *err)
{
    config_init(&config);
    return config_read_text(&config, "z.cfg", zsp_slice_str(text), err);
}

static void the_defaults_are_valid(void **state)
{
    (void)state;
    config_init(&config);
    assert_int_equal(config_check(&config, NULL), ZSP_OK);
    assert_int_equal(config.listen_count, 1);
    assert_string_equal(config.listen[0], "tcp://127.0.0.1:7227");
    assert_int_equal(config.segment_bytes, 256u << 20);
    assert_int_equal(config.requests, 1024);
    assert_true(config.auto_create_topics);
    assert_false(config.allow_plain);
}

static void a_file_sets_values_and_remembers_its_lines(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_int_equal(read_text("data\n    directory = /srv/z\n    segment_size = 1MiB\n"
                               "network\n    listen = tcp://127.0.0.1:1\n    listen = ipc:///a\n"
                               "    ipc_mode = 0660\ngroups\n    auto_create = no\n",
                               &err),
                     ZSP_OK);
    assert_string_equal(config.directory, "/srv/z");
    assert_int_equal(config.segment_bytes, 1u << 20);
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.listen[1], "ipc:///a");
    assert_int_equal(config.ipc_mode, 0660);
    assert_false(config.auto_create_groups);
    struct zsp_writer text = {0};
    config_print(&config, &text);
    zsp_write_u8(&text, 0);
    assert_non_null(strstr((const char *)text.data, "directory = \"/srv/z\" # z.cfg:2"));
    assert_non_null(strstr((const char *)text.data, "min_free = \"256MiB\" # default"));
    zsp_writer_fini(&text);
}

/* Each bad setting, and what its message must hold. */
static const struct {
    const char *text;
    const char *message;
} BAD[] = {
    {"data\n    directry = /x\n", "z.cfg:2: unknown key 'directry'"},
    {"\n\ndatum\n    directory = /x\n", "z.cfg:4: unknown section 'datum'"},
    {"data\n    create = maybe\n", "z.cfg:2: data.create: 'maybe' is neither yes nor no"},
    {"data\n    segment_size = 64\n", "z.cfg:2: data.segment_size: '64' has no unit"},
    {"data\n    segment_size = 64MB\n", "z.cfg:2: data.segment_size: '64MB' has an unknown unit"},
    {"data\n    segment_size = 1KiB\n", "'1KiB' is not within 64KiB to 4GiB"},
    {"data\n    directory =\n", "z.cfg:2: data.directory: the path is empty"},
    {"data\n    create = no\n    create = yes\n", "data.create is given twice, first at z.cfg:2"},
    {"network\n    session_timeout = 60\n", "network.session_timeout: '60' has no unit"},
    {"network\n    session_timeout = 10MiB\n", "has an unknown unit"},
    {"network\n    listen = 127.0.0.1:7227\n", "wanted tcp://HOST:PORT or ipc://PATH"},
    {"network\n    ipc_mode = 999\n", "is no octal mode"},
    {"network\n    ipc_mode = 1777\n", "is no octal mode"},
    {"network\n    io_threads = 0\n", "'0' is not within 1 to 16"},
    {"topics\n    partitions = 1025\n", "'1025' is not within 1 to 1024"},
    {"topics\n    partitions = -1\n", "does not begin with a digit"},
    {"limits\n    requests = 1e3\n", "is not a plain number"},
    {"limits\n    requests = 1\n", "'1' is not within 2 to 65536"},
    {"limits\n    request_bytes = 1MiB\n", "is not within 8MiB to 1GiB"},
    {"diag\n    level = loud\n", "'loud' is not debug, info, warning or error"},
};

static void every_bad_setting_is_named_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct zsp_err err = {0};
        assert_int_equal(read_text(BAD[i].text, &err), ZSP_EBAD_CONFIG);
        if (!strstr(err.msg, BAD[i].message) || strncmp(err.msg, "z.cfg:", 6) != 0) {
            fail_msg("case %zu: \"%s\" does not hold \"%s\"", i, err.msg, BAD[i].message);
        }
    }
}

static void the_environment_wins_over_the_file_and_options_over_both(void **state)
{
    (void)state;
    char create[] = "ZSPOOL_DATA_CREATE=no";
    char listen[] = "ZSPOOL_NETWORK_LISTEN=ipc:///e1,ipc:///e2";
    char other[] = "ZSPOOL_SERVER=tcp://elsewhere:7227";
    char *const environment[] = {create, listen, other, NULL};
    assert_int_equal(read_text("data\n    create = yes\nnetwork\n    listen = ipc:///f\n", NULL),
                     ZSP_OK);
    assert_int_equal(config_read_environment(&config, environment, NULL), ZSP_OK);
    assert_false(config.create);
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.listen[0], "ipc:///e1");
    assert_int_equal(config_set(&config, "network", "listen", "ipc:///o", "--listen", NULL),
                     ZSP_OK);
    assert_int_equal(config.listen_count, 1);
    assert_string_equal(config.listen[0], "ipc:///o");
}

static void bad_variables_are_named(void **state)
{
    (void)state;
    char *const bad[][2] = {
        {(char[]){"ZSPOOL_DATA_DIRECTRY=/x"}, NULL},
        {(char[]){"ZSPOOL_DATA_CREATE=1"}, NULL},
        {(char[]){"ZSPOOL_NETWORK_LISTEN=ipc:///a,,ipc:///b"}, NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zsp_err err = {0};
        config_init(&config);
        assert_int_equal(config_read_environment(&config, bad[i], &err), ZSP_EBAD_CONFIG);
        assert_non_null(strstr(err.msg, "environment ZSPOOL_"));
    }
}

static void a_line_sets_one_key_and_weighs_more_than_a_file(void **state)
{
    (void)state;
    assert_int_equal(read_text("data\n    create = yes\n    threads = 2\n", NULL), ZSP_OK);
    assert_false(config_given(&config, "network", "listen"));
    assert_int_equal(config_set_line(&config, "line 1", "data/create=no", NULL), ZSP_OK);
    assert_int_equal(
        config_set_line(&config, "line 2", " network / listen = tcp://127.0.0.1:* ", NULL), ZSP_OK);
    assert_int_equal(config_set_line(&config, "line 3", "network/listen = ipc:///b", NULL), ZSP_OK);
    assert_false(config.create);
    assert_int_equal(config.data_threads, 2);
    assert_true(config_given(&config, "network", "listen"));
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.listen[0], "tcp://127.0.0.1:*");
}

static void bad_lines_are_named(void **state)
{
    (void)state;
    static char too_long[2000] = "data/directory=";
    const size_t key_len = strlen(too_long);
    memset(too_long + key_len, 'v', sizeof too_long - 1 - key_len);
    static const char *const bad[] = {
        "",           "data",           "data/create",    "create = no",
        "a = b/c",    "data/creat = x", "dta/create = x", "data/create = maybe",
        "data/ = no", "/create = no",   too_long,         "network/listen = inproc://x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zsp_err err = {0};
        config_init(&config);
        assert_int_equal(config_set_line(&config, "line 7", bad[i], &err), ZSP_EBAD_CONFIG);
        assert_non_null(strstr(err.msg, "line 7: "));
    }
    struct zsp_err err = {0};
    config_init(&config);
    assert_int_equal(config_set_line(&config, "line 1", "data/create = no", &err), ZSP_OK);
    assert_int_equal(config_set_line(&config, "line 2", "data/create = no", &err), ZSP_EBAD_CONFIG);
    assert_string_equal(err.msg, "line 2: data.create is given twice, first at line 1");
}

static void an_embedded_broker_may_listen_in_its_process(void **state)
{
    (void)state;
    config_init(&config);
    config.embedded = true;
    assert_int_equal(config_set_line(&config, "l", "network/listen = inproc://x", NULL), ZSP_OK);
    assert_int_equal(config_check(&config, NULL), ZSP_OK);
}

static void other_names_in_the_environment_are_not_ours(void **state)
{
    (void)state;
    char *const environment[] = {(char[]){"ZSPOOL_SERVER=x"},
                                 (char[]){"ZSPOOL_TRACE=1"},
                                 (char[]){"ZSPOOL_PORT_7227_TCP=tcp://10.0.0.1:7227"},
                                 (char[]){"ZSPOOL_"},
                                 (char[]){"PATH=/bin"},
                                 NULL};
    config_init(&config);
    assert_int_equal(config_read_environment(&config, environment, NULL), ZSP_OK);
}

static void a_public_address_without_encryption_must_be_allowed(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_int_equal(read_text("network\n    listen = tcp://*:7227\n", NULL), ZSP_OK);
    assert_int_equal(config_check(&config, &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "security.allow_plain = yes"));
    assert_int_equal(read_text("network\n    listen = tcp://*:7227\n"
                               "security\n    allow_plain = yes\n",
                               NULL),
                     ZSP_OK);
    assert_int_equal(config_check(&config, NULL), ZSP_OK);
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "network\n    listen = ipc:///a\n    listen = ipc:///a\n",
        "data\n    journal_size = 64MiB\n",
        "limits\n    publish_bytes = 16MiB\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_text(bad[i], NULL), ZSP_OK);
        assert_int_equal(config_check(&config, NULL), ZSP_EBAD_CONFIG);
    }
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    static struct config again;
    struct zsp_writer text = {0};
    struct zsp_err err = {0};
    assert_int_equal(read_text("data\n    directory = '/a # b'\n    fill_ahead = 0B\n"
                               "limits\n    sessions = 7\ndiag\n    level = debug\n",
                               NULL),
                     ZSP_OK);
    config_print(&config, &text);
    config_init(&again);
    assert_int_equal(config_read_text(&again, "p", zsp_writer_slice(&text), &err), ZSP_OK);
    memset(config.origins, 0, sizeof config.origins);
    memset(again.origins, 0, sizeof again.origins);
    assert_memory_equal(&config, &again, sizeof config);
    zsp_writer_fini(&text);
}

/* The example lists every key with its default: same values, nothing left out. */
static void the_example_file_is_the_defaults(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    config_init(&config);
    if (config_read_file(&config, EXAMPLE_CONFIG, &err) != ZSP_OK) {
        fail_msg("%s", err.msg);
    }
    for (size_t i = 0; i < CONFIG_KEYS_MAX && config.origins[i].text[0] != '\0'; i++) {
        assert_int_equal(config.origins[i].source, CONFIG_FILE);
    }
    static struct config defaults;
    config_init(&defaults);
    memset(config.origins, 0, sizeof config.origins);
    memset(defaults.origins, 0, sizeof defaults.origins);
    assert_memory_equal(&config, &defaults, sizeof config);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    config_init(&config);
    assert_int_equal(config_read_file(&config, "/nonexistent/z.cfg", &err), ZSP_EBAD_CONFIG);
    assert_non_null(strstr(err.msg, "/nonexistent/z.cfg"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_valid),
        cmocka_unit_test(a_file_sets_values_and_remembers_its_lines),
        cmocka_unit_test(every_bad_setting_is_named_with_its_line),
        cmocka_unit_test(the_environment_wins_over_the_file_and_options_over_both),
        cmocka_unit_test(bad_variables_are_named),
        cmocka_unit_test(a_line_sets_one_key_and_weighs_more_than_a_file),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(an_embedded_broker_may_listen_in_its_process),
        cmocka_unit_test(other_names_in_the_environment_are_not_ours),
        cmocka_unit_test(a_public_address_without_encryption_must_be_allowed),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(the_example_file_is_the_defaults),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
