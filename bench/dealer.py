# SPDX-License-Identifier: MPL-2.0
"""Speaks zspool/1 over a socket of libzmq, as docs/PROTOCOL.md has it: for what `zspool` does not
do, as to have thousands of requests at a broker and wait."""
import msgpack
import zmq

from server import Failed

TIMEOUT_S = 600     # for anything at all
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
