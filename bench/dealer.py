# SPDX-License-Identifier: MPL-2.0
"""Speaks zspool/1 over a socket of libzmq, as docs/PROTOCOL.md has it: for what `zspool` does not
do, as to have thousands of requests at a broker and wait."""
import time

import msgpack
import zmq

from server import Failed

TIMEOUT_S = 600     # for anything at all
WAIT_MS = 60000     # of a pull that waits: the most that is allowed
IN_FLIGHT = 200     # requests of one connection; the broker allows 1,024


def context_of_many():
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4096)
    return context


def record(payload):
    """The body of a PUBLISH of one message."""
    return msgpack.packb([payload])


class Connection:
    """A session on a socket of its own."""

    def __init__(self, endpoint, context):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.connect(endpoint)
        self.last_id = 0
        self.expect(self.ask("HELLO", {"versions": [1]}))

    def ask(self, verb, args, *bodies):
        """Send a request: its id."""
        self.last_id += 1
        header = msgpack.packb([1, verb, self.last_id, args])
        self.socket.send_multipart([b"", header, *bodies])
        return self.last_id

    def reply(self, timeout_s=TIMEOUT_S):
        """The next reply: its id and map."""
        if not self.socket.poll(int(timeout_s * 1000)):
            raise Failed("no reply in %d s" % timeout_s)
        _, header, *_ = self.socket.recv_multipart()
        _, kind, of, fields = msgpack.unpackb(header)
        if kind != "OK":
            raise Failed("request %s: %s %s" % (of, kind, fields))
        return of, fields

    def expect(self, wanted):
        of, fields = self.reply()
        if of != wanted:
            raise Failed("reply to %d, wanted %d" % (of, wanted))
        return fields

    def call(self, verb, args, *bodies):
        return self.expect(self.ask(verb, args, *bodies))

    def calls(self, requests):
        """Many requests, IN_FLIGHT at a time: their answers, in the order asked."""
        order, answers = [], {}
        for request in requests:
            if len(order) - len(answers) >= IN_FLIGHT:
                of, fields = self.reply()
                answers[of] = fields
            order.append(self.ask(*request))
        while len(answers) < len(order):
            of, fields = self.reply()
            answers[of] = fields
        return [answers[of] for of in order]


def make_topics(endpoint, count):
    """Topics with a message each."""
    connection = Connection(endpoint, context_of_many())
    connection.calls(("PUBLISH", {"topic": "other-%06d" % i}, record(b"x" * 100))
                     for i in range(count))
    connection.socket.close()


class Parked:
    """Connections that each have a pull waiting on an idle topic, until it is closed."""

    def __init__(self, endpoint, count):
        self.context = context_of_many()
        control = Connection(endpoint, self.context)
        control.call("TOPIC.CREATE", {"topic": "parked"})
        self.connections = [control]
        for _ in range(count):
            connection = Connection(endpoint, self.context)
            connection.ask("PULL", {"group": "parked", "topics": ["parked"], "wait_ms": WAIT_MS})
            self.connections.append(connection)
        end = time.monotonic() + WAIT_MS / 1000
        while control.call("STATS", {})["parked_count"] < count:
            if time.monotonic() > end:
                raise Failed("not all pulls wait")

    def close(self):
        for connection in self.connections:
            connection.socket.close()
        self.context.term()
