/* SPDX-License-Identifier: MPL-2.0
 *
 * Every fixed bound of zspool, with its reason. Bounds that an operator may
 * lower or raise are defaults here and fields of a configuration elsewhere.
 * Sizes are bytes (n << 20 is n MiB, n << 10 is n KiB), times milliseconds,
 * everything else is a count.
 */
#ifndef ZSP_LIMITS_H
#define ZSP_LIMITS_H

#define ZSP_KIB 1024u
#define ZSP_MIB 1048576u

/* The protocol: told to every client by HELLO. */
#define ZSP_PROTOCOL_VERSION    1u
#define ZSP_FRAME_MAX           (8u << 20)   /* one body frame; what one turn may have to copy */
#define ZSP_RECORD_MAX          (4u << 20)   /* one message, so that any two fit a frame */
#define ZSP_HEADER_MAX          (256u << 10) /* one request or reply header frame */
#define ZSP_REPLY_MAX           (16u << 20)  /* body bytes of one reply */
#define ZSP_PART_BYTES          (1u << 18) /* a PART ends with the batch that reaches it; fits a cache */
#define ZSP_STREAM_MAX          (256u << 20) /* body bytes of a READ with parts, all of them */
#define ZSP_BATCHES_MAX         1024u /* in one PUBLISH; so many rows take a turn as 1,024 requests do */
#define ZSP_BATCH_BYTES         512u         /* what each takes of the credit beside its bytes */
#define ZSP_RUNS_MAX            4096u        /* runs in one SETTLE or one reply */
#define ZSP_REQUESTS_MAX        1024u        /* unanswered requests of one connection */
#define ZSP_REQUEST_BYTES_MAX   (32u << 20)  /* bytes of one connection's unanswered requests */
#define ZSP_PUBLISH_BYTES_MAX   (256u << 20) /* bytes of all waiting publishes */
#define ZSP_WAIT_MS_MAX         60000u       /* the longest long poll */
#define ZSP_ENVELOPE_FRAMES_MAX 8u           /* frames before the first empty one */
#define ZSP_MESSAGE_FRAMES_MAX  64u          /* all frames of one request; more is an attack */
#define ZSP_CODECS_MAX          16u          /* codecs that a client may name */
#define ZSP_DEPTH_MAX           8u           /* nesting of any MessagePack value */
#define ZSP_HEADERS_MAX         256u         /* headers of one message */
#define ZSP_SETTLE_LOOKS_MAX    262144u /* stretches that the runs of one SETTLE reach over: a turn */
#define ZSP_LIST_MAX            1000u   /* items of one LIST reply */

/* Names and numbers. */
#define ZSP_NAME_MAX         200u  /* topics, groups, producers, clients: fits a file name */
#define ZSP_PARTITIONS_MAX   1024u /* of one topic */
#define ZSP_GROUP_TOPICS_MAX 1024u /* topics a group may name */
#define ZSP_JOIN_PARTITIONS  1024u /* looked at in a turn for a pattern: about a millisecond */
#define ZSP_REASON_MAX       256u  /* a failure reason kept for a message; longer ones are cut */
#define ZSP_KEY_TOLD_MAX     1024u /* bytes of a key that an answer tells: the first of longer ones */
#define ZSP_REASONS_KEPT     3u    /* the last reasons of one message */

/* Storage. */
#define ZSP_SEGMENT_BYTES          (256u << 20) /* default size at which a segment is sealed */
#define ZSP_SEGMENT_BYTES_MIN      (64u << 10)  /* tests and simulation use small ones */
#define ZSP_SEGMENT_IDS_MAX        (1u << 20) /* ids at which it is sealed, if they are looked for */
#define ZSP_COMPACTION_KEYS_MAX    (1500u * 1000) /* 24 bytes each, and as much again while it grows */
#define ZSP_COMPACTION_JOB_BYTES   (2u << 20)     /* read and written in one go; syncs stay small */
#define ZSP_COMPACTION_RATE        (64u << 20)    /* bytes a second, so that publishes go on */
#define ZSP_COMPACTION_SEAL_BYTES  (1u << 20) /* so much, or nothing new for so long: it is sealed */
#define ZSP_COMPACTION_IDLE_MS     60000
#define ZSP_COMPACT_RATIO          50u /* percent */
#define ZSP_TOMBSTONE_RETENTION_MS (24u * 3600u * 1000u)
#define ZSP_UNSYNCED_BYTES_MAX     (64u << 20) /* written, not yet synced; beyond it publishes wait */
#define ZSP_JOURNAL_FILE_BYTES     (64u << 20)  /* a journal file ends here */
#define ZSP_JOURNAL_BYTES_MIN      (256u << 20) /* below it nothing is carried forward */
#define ZSP_REDO_BYTES_MAX         (512u << 20) /* in the journal and not paid: a start writes it again */
#define ZSP_REDO_ENTRIES_MAX       (1u << 20) /* likewise; a start keeps 64 to 128 bytes for each */
#define ZSP_STATE_RECORD_MAX       (4u << 20) /* entries of the engine in one journal record */
#define ZSP_ATOMIC_BYTES_MAX       (10u << 20) /* batches in one journal record, as they are stored */
#define ZSP_JOURNAL_RECORD_MAX     (16u << 20) /* one journal record, all its entries */
#define ZSP_STATE_KEY_MAX          512u        /* one state object's key */
#define ZSP_STATE_BLOCK            65536u      /* offsets of one block of group state */
#define ZSP_FILL_BYTES             (1u << 20)  /* zero-filled space ahead of an active file */
#define ZSP_TAIL_BYTES             (64u << 20) /* received frames kept for tail reads, all partitions */
#define ZSP_READ_CACHE_SHARE       2u /* that by this: what was read from files lately, kept likewise */
#define ZSP_JOURNAL_SYNC_MS        100u /* an unsynced journal record waits no longer */

/* Groups and producers. */
#define ZSP_LEASE_MS             30000u /* default lease */
#define ZSP_LEASE_MS_MIN         100u
#define ZSP_LEASE_MS_MAX         86400000u    /* a day; also the longest extend */
#define ZSP_DELAY_MS_MAX         31536000000u /* a year: retry delays */
#define ZSP_LEASE_END_WORK       1000u /* stretches that ended leases give back in a millisecond */
#define ZSP_MAX_LEASED           1000000u /* default messages out at once, one group */
#define ZSP_MAX_FAILURES         5u       /* default failures after which a message is dead */
#define ZSP_BACKOFF_MS           1000u    /* default first retry delay, doubling */
#define ZSP_BACKOFF_MS_MAX       60000u   /* default longest retry delay */
#define ZSP_BACKOFF_STEPS_MAX    8u       /* delays that a group may tell one by one */
#define ZSP_BACKOFF_FACTOR       2u       /* a delay is so many times the one before */
#define ZSP_BACKOFF_FACTOR_MAX   10u
#define ZSP_LOOK_AHEAD           1000000u      /* default messages that a keyed group looks at */
#define ZSP_LOOK_AHEAD_MAX       10000000u     /* 8 bytes each while known, 100 for each key */
#define ZSP_SAVEPOINTS_MAX       64u           /* of a group */
#define ZSP_SAVEPOINT_BYTES      (3584u << 10) /* one: it is restored by one record, */
#define ZSP_UNDO_BYTES           (1792u << 10) /* with an undo when both are so small */
#define ZSP_SAVEPOINTS_BYTES_MAX (256u << 20)  /* all groups' together: they are kept in memory */
#define ZSP_STALL_MS             1000u  /* a gap between two events longer than this is a stall */
#define ZSP_STALL_GRACE_MS       10000u /* after a start or a stall no lease ends for this long */
#define ZSP_TIME_RECORD_MS       10000u /* broker time is journaled this often while a timer runs */
#define ZSP_PRODUCER_EXPIRE_MS   604800000u  /* a named producer is forgotten after 7 days */
#define ZSP_EPHEMERAL_EXPIRE_MS  600000u     /* an ephemeral one after 10 minutes */
#define ZSP_PRODUCER_WINDOW      64u         /* batches whose original offsets are remembered */
#define ZSP_COMMIT_PUBLISHES_MAX 32u         /* bodies of one COMMIT; they fit a message's frames */
#define ZSP_COMMIT_BYTES_MAX     (8u << 20)  /* bytes of these, unpacked as well: any one fits */
#define ZSP_COMMIT_PARTS_MAX     256u        /* batches that they are cut into */
#define ZSP_COMMIT_ROWS_MAX      256u        /* rows of the answer, which is remembered */
#define ZSP_COMMIT_WINDOW        8u          /* answers remembered of one producer */
#define ZSP_COMMIT_RUNS_BYTES    (64u << 20) /* memory of the outcomes of all COMMITs at work */
#define ZSP_COMMIT_FEW_BYTES \
    (64u << 20)                               /* of the remembered answers of all producers: then of
                                              * each only the last */
#define ZSP_COMMIT_ANSWERS_BYTES (256u << 20) /* the same, beyond: no COMMIT is taken */
#define ZSP_PRODUCERS_MAX        100000u      /* producer names known at once; expiry makes room */
#define ZSP_PRODUCER_LOGS_MAX    1000000u     /* (producer, partition) pairs with sequences */
#define ZSP_PRODUCER_IMAGE_BYTES \
    (4u << 20) /* of a partition's log; what a start has to scan for sequences */
#define ZSP_DEDUP_WINDOW_MS_MAX 31536000000u /* a year: how far back ids are looked at */
#define ZSP_RETENTION_MS        10000u       /* how often a topic with a limit is looked at */
#define ZSP_SESSION_MS          60000u       /* a silent session is forgotten */
#define ZSP_HEARTBEAT_MS_MIN    100u         /* of a session: below, heartbeats are all it does */
#define ZSP_HEARTBEAT_MS_MAX    60000u

_Static_assert(ZSP_SAVEPOINT_BYTES < ZSP_STATE_RECORD_MAX, "a restore fits a record");
_Static_assert(ZSP_UNDO_BYTES * 2u < ZSP_STATE_RECORD_MAX, "and a small one with its undo");
_Static_assert(ZSP_RECORD_MAX * 2u <= ZSP_FRAME_MAX, "two records fit a frame");
_Static_assert(ZSP_FRAME_MAX <= ZSP_REPLY_MAX, "a stored batch fits a reply");
_Static_assert(ZSP_FRAME_MAX <= ZSP_REQUEST_BYTES_MAX, "a frame fits a connection's credit");

#define ZSP_START_ID_MAX 1024u /* bytes of the id of a message that a group starts at */

/* A replay that nobody pulls from goes after so long; a longer time may be asked for. */
#define ZSP_REPLAY_EXPIRES_MS     86400000u   /* a day */
#define ZSP_REPLAY_EXPIRES_MS_MAX 2592000000u /* 30 days */

/* Priorities are 0 to this; that of messages that tell none. */
#define ZSP_PRIORITY_MAX 9u
#define ZSP_PRIORITY     4u

_Static_assert(ZSP_COMMIT_BYTES_MAX + ZSP_COMMIT_PARTS_MAX * 128u <= ZSP_ATOMIC_BYTES_MAX,
               "what a commit may bring fits an atomic append");
_Static_assert(ZSP_ATOMIC_BYTES_MAX + ZSP_STATE_RECORD_MAX + ZSP_COMMIT_PARTS_MAX * 256u <
                   ZSP_JOURNAL_RECORD_MAX,
               "an atomic append fits a record");

#endif
