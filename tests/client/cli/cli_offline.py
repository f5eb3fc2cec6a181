#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""zspool dump and zspool fsck, on files: a golden store, each kind of damage, a store in use.

Usage: cli_offline.py ZSPOOL ZSPOOLD [TEST]... The golden store (tests/data/small-store) was made by a
broker that was killed; what is printed of it stands beside it, in small-store.*.txt. With
GOLDEN_WRITE=1 in the environment these texts are written instead of compared.
"""
import ctypes
import ctypes.util
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import msgpack
import zmq

from cli_support import BROKER, TIMEOUT_S, ZSPOOL, ZSPOOLD, Case, Run, environment, main, zspool

os.environ["ZSPOOL_DATA_SEGMENT_SIZE"] = "1MiB"  # so that little data has files beside it
DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "data"
JOURNAL = "journal/00000000000000000001.jnl"
SEALED = "topics/1-orders/1/00000000000000000000.log"
INDEX = "topics/1-orders/1/00000000000000000000.idx"
ACTIVE = "topics/1-orders/1/00000000000000000001.log"
SINGLE = "topics/1-orders/0/00000000000000000000.log"


def cut(line):
    """Without the middle of the long payloads."""
    return re.sub(r"(xxxx|yyyy)[xy]+", r"\1...", line)


class Golden(Case):
    """A copy of the golden store for each test, to be spoilt."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="zspool-offline-")
        self.addCleanup(temporary.cleanup)
        self.store = pathlib.Path(temporary.name) / "store"
        shutil.copytree(DATA / "small-store", self.store)
        for name in ("cut", "quarantine", "trash"):  # git keeps no empty directories
            (self.store / name).mkdir(exist_ok=True)

    def run_on(self, *args, server=False):
        return zspool(*args, server=server)

    def dump(self, name, *args, code=0):
        run = self.run_on("dump", *args, str(self.store / name))
        self.assertEqual(run.code, code, run.err)
        return run

    def flip(self, name, pos):
        with open(self.store / name, "r+b") as file:
            file.seek(pos)
            byte = file.read(1)[0]
            file.seek(pos)
            file.write(bytes([byte ^ 0x10]))

    def fsck(self, code):
        """The findings that are damage, and the summary."""
        run = self.run_on("fsck", "--json", str(self.store))
        self.assertEqual(run.code, code, run.err)
        objects = run.objects()
        return [o for o in objects if o.get("finding") == "damage"], objects[-1]

    def one_damage(self, path, pos, words, lost=None):
        """Exactly one place is damaged: here; and the summary says so."""
        damages, summary = self.fsck(1)
        self.assertEqual(len(damages), 1, damages)
        found = damages[0]
        self.assertEqual((found["path"], found.get("pos")), (path, pos))
        self.assertIn(words, found["text"])
        if lost:
            self.assertEqual((found["first_offset"], found["end_offset"]), lost)
        self.assertEqual(summary["summary"], "damaged")
        self.assertEqual(summary["lost_messages"], lost[1] - lost[0] if lost else 0)
        return found


class Texts(Golden):
    def compare(self, name, text):
        path = DATA / f"small-store.{name}.txt"
        if os.environ.get("GOLDEN_WRITE"):
            path.write_text(text, encoding="utf-8")
        self.assertEqual(text, path.read_text(encoding="utf-8"))

    def all_dumps(self, *args):
        text = ""
        for name in sorted(str(p.relative_to(self.store)) for p in self.store.rglob("*")
                           if p.is_file()):
            lines = self.dump(name, *args).lines()
            text += f"== {name}\n" + "".join(cut(line) + "\n" for line in lines)
        return text

    def test_dump_prints_every_kind_of_file(self):
        self.compare("dump", self.all_dumps())

    def test_dump_prints_messages(self):
        self.compare("records", self.all_dumps("--records"))

    def test_dump_prints_json(self):
        text = self.all_dumps("--json")
        for line in text.splitlines():
            if not line.startswith("=="):
                json.loads(line)
        self.compare("json", text)

    def test_dump_of_the_directory_is_a_summary(self):
        self.compare("directory", "".join(line + "\n" for line in self.dump("").lines()))

    def test_fsck_finds_the_store_clean(self):
        run = self.run_on("fsck", str(self.store))
        self.assertEqual(run.code, 0, run.err)
        self.assertRegex(run.lines()[-1], "^clean$")
        self.compare("fsck", "".join(line + "\n" for line in run.lines()
                                     if not line.startswith("read: ")))

    def test_dump_writes_messages_as_read_does(self):
        messages = self.dump(SEALED, "--records", "--json").objects()
        self.assertEqual([m["offset"] for m in messages], [0, 1, 2])
        self.assertEqual(messages[0]["payload"], "the first message")
        self.assertEqual(messages[0]["key"], "anna")
        self.assertEqual(messages[0]["headers"], {"colour": "red"})
        self.assertEqual(messages[1]["payload_base64"], "Ynl0ZXMg//4=")
        self.assertEqual(messages[0]["topic"], "orders")

    def test_the_golden_store_is_served_by_a_broker(self):
        process = subprocess.Popen([ZSPOOLD, "--data", str(self.store),
                                    "--listen", "tcp://127.0.0.1:*"],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, TIMEOUT_S)
        self.addCleanup(process.terminate)
        endpoint = next(found.group(1) for found in
                        (re.search(r"ready on (\S+)", line) for line in process.stderr) if found)
        run = zspool("read", "orders", "--json", server=endpoint)
        self.assertEqual(run.code, 0, run.err)
        self.assertEqual(len(run.lines()), 5)


class Archived(Case):
    def test_stores_of_older_brokers_are_clean(self):
        for archive in sorted(DATA.glob("*.tar.xz")):
            with self.subTest(archive=archive.name), \
                    tempfile.TemporaryDirectory(prefix="zspool-offline-") as directory:
                subprocess.run(["tar", "-xf", str(archive), "-C", directory], check=True)
                formats = list(pathlib.Path(directory).rglob("FORMAT"))
                self.assertEqual(len(formats), 1)
                self.good("fsck", str(formats[0].parent), server=False)


class Damage(Golden):
    def test_a_flip_in_a_header(self):
        self.flip(SEALED, 168 + 33)
        self.one_damage(SEALED, 168, "header sum", (1, 2))
        run = self.dump(SEALED, code=1)
        self.assertIn("pos 168 to 304: damage: header sum", run.out.decode())
        self.assertIn("offset 2,", run.lines()[-1])

    def test_a_flip_in_a_body(self):
        self.flip(SEALED, 304 + 112 + 40000)
        self.one_damage(SEALED, 304, "body sum does not hold", (2, 3))
        self.assertIn("pos 304 to 50432: damage: body sum does not hold",
                      self.dump(SEALED, code=1).out.decode())

    def test_a_flip_in_an_index(self):
        self.flip(INDEX, 80)
        self.assertEqual(self.one_damage(INDEX, None, "the index is damaged")["repair"], "index")
        self.dump(INDEX, code=1)

    def test_a_flip_in_the_journal(self):
        self.flip(JOURNAL, 648 + 70)
        damages, summary = self.fsck(1)
        self.assertEqual((damages[0]["path"], damages[0]["pos"]), (JOURNAL, 648))
        self.assertIn("zspoold does not start", damages[0]["text"])
        self.assertEqual(summary["journal_records"], 5)
        run = self.dump(JOURNAL, code=1)
        self.assertIn("pos 648 to 816: damage: record sum", run.out.decode())
        self.assertIn("record 26", run.out.decode())
        self.dump("", code=1)

    def test_a_missing_journal(self):
        os.remove(self.store / JOURNAL)
        damages, _ = self.fsck(1)
        self.assertIn("there are topics, but the journal is empty", damages[0]["text"])
        self.assertEqual([damage["path"] for damage in damages[1:]],
                         ["topics/1-orders", "topics/2-notes"])

    def test_a_missing_format(self):
        os.remove(self.store / "FORMAT")
        damages, _ = self.fsck(1)
        self.assertEqual(damages[0]["path"], "FORMAT")
        self.assertIn("missing, but there are files of a store", damages[0]["text"])

    def test_a_newer_format_is_left_alone(self):
        text = (self.store / "FORMAT").read_text().replace("version 1", "version 99")
        (self.store / "FORMAT").write_text(text)
        run = self.run_on("fsck", "--repair", "--yes", str(self.store))
        self.assertEqual(run.code, 1)
        self.assertIn("store of version 99", run.err)
        self.assertEqual((self.store / "FORMAT").read_text(), text)

    def test_a_torn_tail_is_no_damage(self):
        with open(self.store / JOURNAL, "ab") as file:
            file.write(b"ZSPJ torn")
        with open(self.store / ACTIVE, "ab") as file:
            file.write(b"ZSPB torn")
        damages, summary = self.fsck(0)
        self.assertEqual(damages, [])
        self.assertEqual((summary["summary"], summary["torn_bytes"], summary["notes"]),
                         ("clean", 18, 2))

    def test_a_missing_segment(self):
        os.remove(self.store / SEALED)
        self.one_damage(SEALED, None, "missing", (0, 3))

    def test_a_truncated_segment(self):
        os.truncate(self.store / SEALED, 400)
        self.one_damage(SEALED, 304, "the file ends inside", (2, 3))

    def test_a_truncated_active_segment(self):
        os.truncate(self.store / ACTIVE, 0)
        self.one_damage(ACTIVE, 0, "zeros where a batch was", (3, 4))

    def test_a_segment_of_another_partition(self):
        shutil.copy(self.store / SEALED, self.store / SINGLE)
        found = self.one_damage(SINGLE, 0, "header sum", (0, 1))
        self.assertNotIn("end_pos", {k for k in found if found[k] is None})

    def test_a_damaged_format(self):
        self.flip("FORMAT", 20)
        damages, _ = self.fsck(1)
        self.assertEqual(damages[0]["path"], "FORMAT")
        self.dump("FORMAT", code=1)

    def test_every_byte_of_the_sums_counts(self):
        """One flip anywhere in a small segment is found, whatever it hits."""
        for pos in range(0, 152, 7):
            with self.subTest(pos=pos):
                self.flip(SINGLE, pos)
                damages, _ = self.fsck(1)
                self.assertEqual(damages[0]["path"], SINGLE)
                self.flip(SINGLE, pos)
        self.fsck(0)

    def test_a_lone_segment_is_shown_without_its_store(self):
        lone = self.store.parent / pathlib.Path(SEALED).name
        shutil.copy(self.store / SEALED, lone)
        run = self.run_on("dump", str(lone))
        self.assertEqual(run.code, 0, run.err)
        self.assertIn("header sums", run.err)
        self.assertEqual(run.out.decode().count("body ok, header unchecked"), 3)


class Repair(Golden):
    def repair(self, code, *args):
        run = self.run_on("fsck", "--repair", *args, str(self.store))
        self.assertEqual(run.code, code, run.err)
        return run

    def test_an_index_is_made_anew_without_a_question(self):
        before = (self.store / INDEX).read_bytes()
        self.flip(INDEX, 80)
        self.repair(0)
        self.assertEqual((self.store / INDEX).read_bytes(), before)

    def test_messages_are_given_up_only_after_a_yes(self):
        self.flip(SEALED, 168 + 33)
        before = (self.store / SEALED).read_bytes()
        run = self.repair(1, "--dry-run")
        self.assertIn("1 messages from offset 1 are given up", run.out.decode())
        self.assertIn("--yes", self.repair(2).err)
        self.assertEqual((self.store / SEALED).read_bytes(), before)
        self.assertEqual(self.repair(0, "--yes").lines()[-1], "clean")
        copies = sorted(p.name for p in (self.store / "quarantine").iterdir())
        self.assertEqual(len(copies), 2)
        self.assertEqual((self.store / "quarantine" / copies[0]).read_bytes(), before[168:304])
        self.assertIn("header sum", (self.store / "quarantine" / copies[1]).read_text())
        self.assertIn("given up by a repair", self.dump(SEALED).out.decode())

    def test_a_repaired_partition_is_served_and_takes_messages(self):
        self.flip(SEALED, 304 + 200)
        self.repair(0, "--yes", "--json")
        process = subprocess.Popen([ZSPOOLD, "--data", str(self.store),
                                    "--listen", "tcp://127.0.0.1:*"],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, TIMEOUT_S)
        self.addCleanup(process.terminate)
        server = next(found.group(1) for found in
                      (re.search(r"ready on (\S+)", line) for line in process.stderr) if found)
        offsets = [m["offset"] for m in
                   zspool("read", "orders", "-p", "1", "--json", server=server).objects()]
        self.assertEqual(offsets, [0, 1, 3])
        run = zspool("pub", "orders", "-p", "1", "--json", "again", server=server)
        self.assertEqual((run.code, run.objects()[0]["offset"]), (0, 4))
        # Lost messages count as done: the group gets all others.
        run = zspool("pull", "orders", "-g", "new", "-e", "--json", server=server)
        self.assertEqual(sorted((m["partition"], m["offset"]) for m in run.objects()),
                         [(0, 0), (1, 0), (1, 1), (1, 3), (1, 4)])

    def test_what_was_set_aside_can_be_shown(self):
        self.flip(SEALED, 168 + 33)
        self.repair(0, "--yes")
        copy = next(p for p in (self.store / "quarantine").iterdir() if p.suffix != ".txt")
        run = self.run_on("dump", "--records", "--json", str(copy))
        self.assertEqual([m["payload_base64"] for m in run.objects()], ["Ynl0ZXMg//4="])

    def test_a_journal_is_left_alone(self):
        self.flip(JOURNAL, 648 + 70)
        before = (self.store / JOURNAL).read_bytes()
        self.assertIn("no safe repair", self.repair(1, "--yes").err)
        self.assertEqual((self.store / JOURNAL).read_bytes(), before)

    def test_messages_of_a_store_that_does_not_start_can_be_saved(self):
        self.flip(JOURNAL, 648 + 70)
        for path in sorted((self.store / "topics").glob("*-orders/*/*.log")):
            lines = self.dump(str(path.relative_to(self.store)), "--records", "--json").out
            self.good("pub", "saved", "--from-json", stdin=lines)
        saved = self.good("read", "saved", "--json").objects()
        self.assertEqual(len(saved), 5)
        self.assertIn({"colour": "red"}, [m["headers"] for m in saved])

    def test_what_is_no_store_is_left_as_it_is(self):
        plain = self.store.parent / "plain"
        plain.mkdir()
        (plain / "notes").write_text("nothing of zspool")
        self.bad(4, "fsck", "--repair", "--yes", str(plain))
        self.assertEqual([p.name for p in plain.iterdir()], ["notes"])

    def test_a_store_that_came_without_a_lock_gets_one(self):
        (self.store / "LOCK").unlink(missing_ok=True)
        self.run_on("fsck", "--repair", "--dry-run", str(self.store))
        self.assertFalse((self.store / "LOCK").exists())
        self.flip(INDEX, 80)
        self.repair(0)
        self.assertTrue((self.store / "LOCK").exists())

    def test_what_goes_with_repair(self):
        self.assertEqual(self.run_on("fsck", "--yes", str(self.store)).code, 2)
        self.assertEqual(self.repair(0).lines()[-1], "clean")  # nothing to do


class Usage(Golden):
    def test_what_is_not_there(self):
        self.bad(4, "dump", "/nowhere/at/all")
        self.bad(4, "fsck", "/nowhere/at/all")
        self.bad(4, "fsck", str(self.store / "cut"))

    def test_what_cannot_be_opened_is_told_with_its_whole_path(self):
        for name in (SEALED, INDEX, JOURNAL, "FORMAT"):
            with self.subTest(name=name), socket.socket(socket.AF_UNIX) as endpoint:
                path = self.store / name
                shutil.move(path, self.store.parent / "kept")
                endpoint.bind(str(path))  # what not even root can open
                run = self.bad(1, "dump", str(path))
                self.assertTrue(run.err.startswith(f"zspool: {path}: open {path.name}: "), run.err)
                path.unlink()
                shutil.move(self.store.parent / "kept", path)

    def test_what_is_no_file_of_a_store(self):
        (self.store / "notes").touch()
        self.bad(2, "dump", str(self.store / "notes"))

    def test_a_relative_path_is_enough(self):
        done = subprocess.run([os.path.abspath(ZSPOOL), "dump", pathlib.Path(SEALED).name],
                              cwd=(self.store / SEALED).parent, capture_output=True,
                              timeout=TIMEOUT_S, env=environment())
        run = Run(done.returncode, done.stdout, done.stderr.decode())
        self.assertEqual((run.code, run.err), (0, ""))
        self.assertTrue(run.lines()[0].endswith(", ok"), run.lines()[0])


class Live(Case):
    def setUp(self):
        self.data = pathlib.Path(BROKER.dir.name) / "data"
        self.good("pub", "live", "hello")
        self.good("pull", "live", "-g", "readers", "-n", "1")

    def test_fsck_leaves_a_directory_in_use_alone(self):
        run = self.bad(1, "fsck", str(self.data))
        self.assertIn("locked by process", run.err)
        self.assertIn("a broker has it open", run.err)

    def test_dump_reads_what_a_broker_writes(self):
        segment = next((self.data / "topics").glob("*-live/0/*.log"))
        objects = self.good("dump", "--records", "--json", str(segment)).objects()
        self.assertEqual(objects[0]["payload"], "hello")
        self.good("dump", str(self.data))

    def test_dump_and_fsck_look_into_compressed_batches(self):
        raw = b"".join(msgpack.packb([b"packed %d " % i + b"x" * 500]) for i in range(20))
        zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
        zstd.ZSTD_compress.restype = ctypes.c_size_t
        zstd.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                       ctypes.c_size_t, ctypes.c_int]
        room = ctypes.create_string_buffer(len(raw) + 1000)
        size = zstd.ZSTD_compress(room, len(room), raw, len(raw), 3)
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.connect(BROKER.endpoint)
            socket.send_multipart([
                msgpack.packb([1, "PUBLISH", 0, {"topic": "packed", "codec": "zstd", "count": 20,
                                                 "raw_size": len(raw)}]), room.raw[:size]])
            self.assertTrue(socket.poll(TIMEOUT_S * 1000))
            self.assertEqual(msgpack.unpackb(socket.recv_multipart()[0])[1], "OK")
        segment = str(next((self.data / "topics").glob("*-packed/0/*.log")))
        self.assertIn("codec 1", self.good("dump", segment).lines()[0])
        messages = self.good("dump", "--records", "--json", segment).objects()
        self.assertEqual([m["payload"][:9].strip() for m in messages],
                         [f"packed {i}" for i in range(20)])
        with tempfile.TemporaryDirectory(prefix="zspool-offline-") as directory:
            copy = directory + "/store"  # nothing is written meanwhile: a copy will do
            shutil.copytree(self.data, copy)
            self.assertEqual(self.good("fsck", copy).lines()[-1], "clean")

    def test_dump_of_what_stands_beside_a_segment(self):
        self.good("topic", "create", "beside", "--dedup-window", "1h")
        lines = [json.dumps({"payload": "x" * 50000, "id": f"m{i}", "priority": 9 if 3 <= i < 6 else 4})
                 for i in range(30)]
        self.good("pub", "beside", "--from-json", stdin="\n".join(lines).encode())
        part = next((self.data / "topics").glob("*-beside/0"))
        index, ids, terms = (part / ("0" * 20 + kind) for kind in (".idx", ".ids", ".pri"))
        end = time.monotonic() + TIMEOUT_S  # they are made behind the back of the publish
        while not (index.exists() and ids.exists() and terms.exists()):
            self.assertLess(time.monotonic(), end, list(part.iterdir()))
            time.sleep(0.01)
        head, *entries = self.good("dump", str(ids)).lines()
        count = int(re.fullmatch(r"segment of offsets 0 to (\d+), \d+ bytes, \1 ids", head).group(1))
        self.assertRegex(entries[0], r"^fingerprint [0-9a-f]{16} at offset \d+$")
        objects = self.good("dump", "--json", str(ids)).objects()
        self.assertEqual(sorted(o["offset"] for o in objects), list(range(count)))
        self.assertEqual(sorted(o["fingerprint"] for o in objects), [o["fingerprint"] for o in objects])
        self.assertEqual(self.good("dump", str(terms)).lines()[1:], ["offsets 3 to 6, priority 9"])
        self.assertEqual(self.good("dump", "--json", str(terms)).objects(),
                         [{"offset": 3, "end_offset": 6, "priority": 9}])
        with tempfile.TemporaryDirectory(prefix="zspool-offline-") as directory:
            copy = pathlib.Path(directory) / "store"
            shutil.copytree(self.data, copy)
            for path in (index, ids, terms):
                lone = shutil.copy(path, directory)
                self.assertIn("lies in no store", self.bad(1, "dump", lone).err)
                spoilt = copy / path.relative_to(self.data)
                with open(spoilt, "r+b") as file:
                    file.seek(-1, os.SEEK_END)
                    file.write(bytes([path.read_bytes()[-1] ^ 1]))
                run = zspool("dump", str(spoilt), server=False)
                self.assertEqual(run.code, 1)
                self.assertIn("damage", run.out.decode())
                spoilt.write_bytes(b"short")
                self.assertIn("this is no", zspool("dump", str(spoilt), server=False).out.decode())

    def test_every_object_of_the_journal_is_known_to_dump(self):
        """Holds the table of client/cli/verb/journal_object.c to what the broker writes."""
        self.good("topic", "create", "known", "--retention-time", "7d")
        self.good("group", "create", "g", "--topic", "known")
        for outcome in ("retry", "reject", "release", "none"):
            self.good("pub", "known", outcome)
            self.good("pull", "known", "-g", "g", "-n", "1", "--outcome", outcome)
        seen = set()
        for record in self.good("dump", "--json", str(self.data / JOURNAL)).objects():
            for entry in record.get("entries", []):
                self.assertIn("object", entry, entry)
                self.assertFalse([k for k in entry if k.startswith("value")], entry)
                seen.add(entry["object"])
        self.assertLessEqual({"start_count", "counters", "topic", "partition", "mark", "group",
                              "producer", "ledger", "ledger_block", "lease"}, seen)


if __name__ == "__main__":
    main()
