/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool.h compiles alone, as C11, with more warnings than anybody has;
 * header_alone.cc is the same as C++. Every inline function is used.
 */
#include <zspool.h>

static int check_options(void)
{
    zspool_options_t client;
    zspool_info_t info;
    zspool_producer_options_t producer;
    zspool_consumer_options_t consumer;
    zspool_reader_options_t reader;
    zspool_settle_arg_t arg;
    zspool_options_init(&client);
    zspool_info_init(&info);
    zspool_producer_options_init(&producer);
    zspool_consumer_options_init(&consumer);
    zspool_reader_options_init(&reader);
    zspool_settle_arg_init(&arg);
    return client.size == sizeof client && info.size == sizeof info &&
           producer.size == sizeof producer && consumer.size == sizeof consumer &&
           reader.size == sizeof reader && reader.partition == ZSPOOL_PARTITION_ALL &&
           arg.size == sizeof arg && arg.delay_ms == -1;
}

static int check_specs(void)
{
    zspool_topic_spec_t topic;
    zspool_group_spec_t group;
    zspool_seek_spec_t seek;
    zspool_request_spec_t request;
    zspool_topic_spec_init(&topic, "t");
    zspool_group_spec_init(&group, "g");
    zspool_seek_spec_init(&seek, "g", "t");
    zspool_request_spec_init(&request, "PING");
    return topic.size == sizeof topic && group.size == sizeof group && seek.size == sizeof seek &&
           request.size == sizeof request;
}

int main(void)
{
    const zspool_out_t out = zspool_out("t", "x", 1);
    const zspool_bytes_t text = zspool_text("text");
    const int messages =
        out.size == sizeof out && out.partition == ZSPOOL_PARTITION_ANY && text.len == 4;
    return check_options() && check_specs() && messages ? 0 : 1;
}
