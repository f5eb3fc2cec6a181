import zmq, msgpack
s = zmq.Context().socket(zmq.REQ); s.connect("tcp://127.0.0.1:7227")
def call(verb, args, *bodies):
    s.send_multipart([msgpack.packb([1, verb, 0, args]), *bodies]); head, *bodies = s.recv_multipart()
    _, status, _, reply = msgpack.unpackb(head)
    if status != "OK": raise RuntimeError(reply["message"])
    return reply, bodies
call("PUBLISH", {"topic": "orders"}, msgpack.packb([b"hello"]))
reply, bodies = call("PULL", {"group": "billing", "topics": ["orders"], "wait_ms": 5000})
records = msgpack.Unpacker(); [records.feed(b) for b in bodies]
for run in reply["runs"]:
    for i in range(run[3]): print(run[2] + i, next(records)[0])
    call("SETTLE", {"group": "billing", "runs": [run[:5] + ["ack"]]})
