# SPDX-License-Identifier: MPL-2.0
"""The peers, and the machine by itself: how each is started, and with what it is measured.

Depths in flight are those that were best for each peer in short trials, unless the
workload tells them. Every server listens on 127.0.0.1 only.
"""
import glob
import os
import re
import shutil
import subprocess
import time

from server import free_port
from system import BACKLOG_BYTES, BUILD, E2E_RATE, MANY_IN_FLIGHT, PAYLOADS, System

COUNT_MAX = 4000000    # messages of one measurement
W3_BATCH = 1000        # messages of one request


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False).stdout


def count_for(payload):
    return min(COUNT_MAX, BACKLOG_BYTES // payload)


class Peer(System):
    """A system with a driver in bench/peers/."""
    driver = ""
    program = ""
    single_seconds = 3

    def missing(self):
        if not shutil.which(self.program):
            return self.program + " is not installed"
        if not os.path.exists(self.driver_path()):
            return "its client library is not installed, so its driver was not built"
        return None

    def driver_path(self):
        return "%s/bench/peer-%s" % (BUILD, self.driver)

    def drive(self, case, workload, *options, payload=100, in_flight=1, seconds=None, producers=1):
        command = [self.driver_path(), workload, "-S", self.name, "-V", self.version(),
                   "-d", self.durability[self.setting], "-p", self.server.port,
                   "-P", self.server.pid, "-s", payload, "-n", count_for(payload),
                   "-t", seconds or self.plan.seconds, "-w", in_flight, "-c", producers, *options]
        # Of W4 and W5, what is in flight is not chosen: the rate and the server decide.
        return self.measure(case, command,
                            "" if workload in ("W4", "W5") else in_flight * producers)

    def pipelined(self, case, payload, in_flight, producers=1):
        return self.drive(case, "W1", payload=payload, in_flight=in_flight, producers=producers)

    def depth(self, payload):
        """Messages in flight that suit it."""
        raise NotImplementedError

    def single(self):
        for payload in PAYLOADS:
            self.drive("W2", "W2", payload=payload,
                       seconds=min(self.single_seconds, self.plan.seconds))

    def e2e(self):
        self.drive("W4", "W4", "-r", E2E_RATE)

    def in_flight(self):
        for payload in PAYLOADS:
            self.pipelined("1000-in-flight", payload, 1000)

    def producers(self, count):
        self.pipelined("%d-producers" % count, 100, MANY_IN_FLIGHT // count, count)

    def requests(self):
        self.drive("100-requests", "W2", producers=100)


class Redis(Peer):
    name = "redis"
    driver = "redis"
    program = "redis-server"
    settings = ("rdb", "aof-everysec", "aof-always")
    durability = {"rdb": "page-cache", "aof-everysec": "page-cache", "aof-always": "fsync"}
    # No rewrite beside the test: in the peer's favour.
    appendonly = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync")

    def version(self):
        return re.search(r"v=(\S+)", output("redis-server", "--version")).group(1)

    def start(self):
        server = self.new_server()
        server.port = free_port()
        how = ("--appendonly", "no") if self.setting == "rdb" else \
            (*self.appendonly, self.setting[len("aof-"):])
        server.spawn("redis-server", "--bind", "127.0.0.1", "--port", str(server.port), "--dir",
                     server.data, "--save", "3600 1 300 100 60 10000", *how)
        server.await_port()

    def depth(self, payload):
        return 200 if payload > 10000 else 1000

    def backlog(self, payload):
        """More connections let `always` put more under one fsync; its best counts."""
        depth = self.depth(payload)
        self.pipelined("W1", payload, depth)
        if self.setting == "aof-always":
            self.pipelined("W1-8-connections", payload, depth // 2, 8)
            self.pipelined("W1-32-connections", payload, depth // 8, 32)
        self.drive("W5", "W5", payload=payload, in_flight=W3_BATCH)
        self.drive("W3", "W3", payload=payload, in_flight=W3_BATCH)

    def requests(self):
        """One thread serves all connections, which is faster here than a thread each."""
        self.pipelined("100-requests", 100, 1, 100)


class Nats(Peer):
    name = "jetstream"
    driver = "nats"
    program = "nats-server"
    settings = ("file", "file-sync")
    durability = {"file": "page-cache", "file-sync": "fsync"}

    def missing(self):
        lacking = super().missing()
        if not lacking and self.setting == "file-sync" and self.release() < (2, 10):
            return "nats-server %s cannot sync before it confirms (2.10 can)" % self.version()
        return lacking

    def version(self):
        return re.search(r"v(\d\S*)", output("nats-server", "--version")).group(1)

    def release(self):
        return tuple(int(part) for part in self.version().split(".")[:2])

    def start(self):
        server = self.new_server()
        server.port = free_port()
        sync = "sync_interval: always," if self.setting == "file-sync" else ""
        with open(server.data + "/nats.conf", "w", encoding="utf-8") as conf:
            conf.write('host: 127.0.0.1\nport: %d\njetstream { store_dir: "%s/js", %s '
                       "max_memory_store: 1GB, max_file_store: 40GB }\n" %
                       (server.port, server.data, sync))
        server.spawn("nats-server", "-c", server.data + "/nats.conf")
        server.await_port()

    def depth(self, payload):
        return 4000

    def backlog(self, payload):
        self.pipelined("W1", payload, self.depth(payload))
        self.drive("W5", "W5", payload=payload)
        self.drive("W3", "W3", payload=payload, in_flight=W3_BATCH)
        self.drive("W3-cont", "W3", "-m", "cont", payload=payload, in_flight=W3_BATCH)

    def e2e(self):
        super().e2e()
        self.drive("W4-push", "W4", "-m", "push", "-r", E2E_RATE)


class Rabbit(Peer):
    name = "rabbitmq"
    driver = "rabbit"
    settings = ("quorum", "stream")
    start_s = 10
    durability = {"quorum": "fsync", "stream": "page-cache"}
    features = ("quorum_queue,stream_queue,implicit_default_bindings,virtual_host_metadata,"
                "maintenance_mode_status,user_limits")

    @property
    def program(self):
        """The launcher itself: the one on PATH wants another user."""
        found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
        return found[-1] if found else "rabbitmq-server"

    def version(self):
        return re.search(r"rabbitmq_server-([^/]+)", self.program).group(1)

    def start(self):
        server = self.new_server()
        server.port = free_port()
        base = server.data
        with open(base + "/rabbitmq.conf", "w", encoding="utf-8") as conf:
            conf.write("listeners.tcp.1 = 127.0.0.1:%d\nloopback_users = none\n"
                       "log.file.level = warning\n" % server.port)
        for folder in ("home", "log"):
            os.mkdir(os.path.join(base, folder))
        open(base + "/plugins", "w", encoding="utf-8").close()
        env = dict(os.environ, HOME=base + "/home", ERL_EPMD_ADDRESS="127.0.0.1",
                   ERL_EPMD_PORT=str(free_port()), RABBITMQ_DIST_PORT=str(free_port()),
                   RABBITMQ_NODENAME="bench@localhost", RABBITMQ_PID_FILE=base + "/pid",
                   RABBITMQ_CONFIG_FILE=base + "/rabbitmq.conf",
                   RABBITMQ_MNESIA_BASE=base + "/db", RABBITMQ_LOG_BASE=base + "/log",
                   RABBITMQ_ENABLED_PLUGINS_FILE=base + "/plugins",
                   RABBITMQ_FEATURE_FLAGS=self.features)
        server.spawn("epmd", env=env)
        time.sleep(0.5)  # else the launcher starts one that nobody ends
        server.spawn(self.program, env=env)
        server.await_port()
        time.sleep(3)  # it goes on starting behind its port

    def drive(self, case, workload, *options, **how):
        return super().drive(case, workload, "-m", self.setting, "-P", self.vm_pid(), *options,
                             **how)

    def vm_pid(self):
        with open(self.server.data + "/pid", encoding="utf-8") as file:
            return file.read().strip()

    def depth(self, payload):
        return 500 if self.setting == "quorum" and payload > 10000 else 2000

    def backlog(self, payload):
        for written in self.pipelined("W1", payload, self.depth(payload)):
            if self.setting == "quorum":
                self.drive("W3", "W3", payload=payload, in_flight=W3_BATCH)
            else:  # a stream has no groups
                self.drive("W5", "W5", "-n", written["count"], payload=payload,
                           in_flight=W3_BATCH)


class Beanstalk(Peer):
    name = "beanstalkd"
    driver = "beanstalk"
    program = "beanstalkd"
    settings = ("f50", "f0")
    durability = {"f50": "page-cache", "f0": "fsync"}

    def version(self):
        return output("beanstalkd", "-v").split()[-1]

    def start(self):
        server = self.new_server()
        server.port = free_port()
        sync = ("-f0",) if self.setting == "f0" else ()
        server.spawn("beanstalkd", "-l", "127.0.0.1", "-p", str(server.port), "-b", server.data,
                     *sync)
        server.await_port()

    def depth(self, payload):
        return 1000

    def backlog(self, payload):
        self.pipelined("W1", payload, self.depth(payload))
        self.drive("W3", "W3", payload=payload, in_flight=W3_BATCH)


class Machine(System):
    """What libzmq and files do here without a broker: the limits of the others."""
    name = "machine"
    start_s = 0
    frames = (*PAYLOADS, 65536, 262144, 1048576)

    def zmq(self, mode, payload, seconds):
        depth = 100 if payload > 60000 else 10000
        version = output("pkg-config", "--modversion", "libzmq").strip()
        self.measure("L1-" + mode,
                     [BUILD + "/bench/peer-zmqraw", "L1", "-S", "libzmq", "-V", version, "-m", mode,
                      "-s", payload, "-n", 100000000, "-t", seconds, "-w", depth],
                     depth if mode == "oneway" else 1)

    def limits(self):
        seconds = min(2, self.plan.seconds)
        for payload in self.frames:
            self.zmq("oneway", payload, seconds)
        for payload in PAYLOADS:
            self.zmq("pingpong", payload, seconds)
        self.probe("L2", seconds)

    def probe(self, what, seconds=1):
        """L2: files; CAL: how fast the machine is just now."""
        self.measure(what, [BUILD + "/bench/peer-machine", what, "-S", "machine", "-V",
                            os.uname().release, "-m", self.plan.data, "-t", seconds], "")
