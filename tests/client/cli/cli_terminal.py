#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""The command line on a terminal: questions, colours, progress, Ctrl-C.

Usage: cli_terminal.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import os
import pty
import select
import signal
import subprocess
import time

from cli_support import BROKER, TIMEOUT_S, Case, command, environment, main, zspool


class Terminal:
    """A run of the command on a pseudo-terminal; `streams` names those that are on it, the others
    are pipes, or closed input."""

    def __init__(self, *args, streams=("stdin", "stdout", "stderr"), env=None, stdin=None):
        self.master, slave = pty.openpty()
        ends = {"stdin": stdin or subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE}
        ends.update({name: slave for name in streams})
        self.process = subprocess.Popen(
            command(*args), env={**environment(), "TERM": "xterm", "NO_COLOR": "", **(env or {})},
            start_new_session=True, **ends)
        os.close(slave)
        self.seen = b""

    def read_some(self, timeout_s=TIMEOUT_S):
        """More of what was written to the terminal; False at its end."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            raise AssertionError(f"nothing more came after {self.seen!r}")
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # how Linux tells that the other side is closed
            piece = b""
        self.seen += piece
        return len(piece) > 0

    def expect(self, text):
        while text not in self.seen:
            if not self.read_some():
                raise AssertionError(f"no {text!r} in {self.seen!r}")

    def type(self, text):
        os.write(self.master, text)

    def end(self):
        """Wait for the end of the run; its exit code."""
        while self.read_some():
            pass
        code = self.process.wait(TIMEOUT_S)
        os.close(self.master)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code


class Questions(Case):
    def test_topic_rm_asks_and_takes_only_yes(self):
        self.good("topic", "create", "asked")
        for answer, code in ((b"n\n", 1), (b"\n", 1), (b"\x04", 1), (b"y\n", 0)):
            run = Terminal("topic", "rm", "asked")
            run.expect(b"[y/N] ")
            run.type(answer)
            self.assertEqual(run.end(), code, run.seen)
        self.bad(4, "topic", "info", "asked")

    def test_the_question_goes_to_stderr(self):
        self.good("topic", "create", "where")
        run = Terminal("topic", "rm", "where", streams=("stdin", "stderr"))
        run.expect(b"[y/N] ")
        run.type(b"n\n")
        self.assertEqual(run.process.stdout.read(), b"")
        self.assertEqual(run.end(), 1)

    def test_ctrl_c_at_the_question_is_no(self):
        self.good("topic", "create", "interrupted")
        run = Terminal("topic", "rm", "interrupted")
        run.expect(b"[y/N] ")
        run.process.send_signal(signal.SIGINT)
        self.assertEqual(run.end(), 1)
        self.good("topic", "info", "interrupted")

    def test_without_a_terminal_yes_is_needed(self):
        self.good("topic", "create", "unasked")
        self.assertIn("--yes", self.bad(2, "topic", "rm", "unasked").err)
        self.good("topic", "info", "unasked")


class Colours(Case):
    def error_on_terminal(self, **env):
        run = Terminal("read", "no-such-topic", env=env)
        self.assertEqual(run.end(), 4)
        return run.seen

    def test_errors_are_coloured_on_a_terminal_alone(self):
        self.assertIn(b"\x1b[", self.error_on_terminal())
        self.assertNotIn("\x1b", self.bad(4, "read", "no-such-topic").err)

    def test_no_color_and_a_dumb_terminal_have_none(self):
        self.assertNotIn(b"\x1b", self.error_on_terminal(NO_COLOR="1"))
        self.assertNotIn(b"\x1b", self.error_on_terminal(TERM="dumb"))
        self.assertNotIn(b"\x1b", self.error_on_terminal(TERM=""))


class Figures(Case):
    def test_sizes_and_times_have_units_on_a_terminal_alone(self):
        self.good("topic", "create", "units", "--retention-bytes", "1GiB",
                  "--retention-time", "7d")
        self.good("pub", "units", "x" * 5000)
        run = Terminal("topic", "info", "units")
        self.assertEqual(run.end(), 0)
        self.assertIn(b"retention_bytes = 1.00 GiB", run.seen)
        self.assertIn(b"retention_time = 7d", run.seen)
        self.assertRegex(run.seen, rb" \d\.\d\d KiB\r\n$")
        self.assertIn(b"\x1b[1mPARTITION\x1b[0m", run.seen)
        plain = self.good("topic", "info", "units").out.decode()
        self.assertIn("retention_bytes = 1073741824\nretention_time_ms = 604800000\n",
                      "\n".join(sorted(plain.splitlines())) + "\n")
        self.assertNotIn("KiB", plain)

    def test_dead_messages_are_in_the_colour_of_alarm(self):
        self.good("pub", "alarm", "x")
        self.good("pull", "alarm", "-g", "alarm", "-n", "1", "--outcome", "reject")
        run = Terminal("group", "info", "alarm")
        self.assertEqual(run.end(), 0)
        self.assertIn(b"\x1b[1;31m1\x1b[0m     0 ", run.seen)


class Progress(Case):
    @classmethod
    def setUpClass(cls):
        zspool("pub", "long", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                             for i in range(2000)))

    def read_long(self, *args, **kw):
        """Read more than a pipe holds, and stand still in the middle, long enough for progress to
        be shown; what was seen on the terminal that stderr is."""
        run = Terminal("read", "long", *args, streams=("stderr",), **kw)
        begun = time.monotonic()
        lines = 0
        while lines < 2000:
            goes_on = lines < 1000 or b"%" in run.seen or time.monotonic() - begun > 1
            if goes_on:
                lines += run.process.stdout.readline().endswith(b"\n")
            if select.select([run.master], [], [], 0 if goes_on else 0.05)[0]:
                run.read_some()
        self.assertEqual(run.end(), 0)
        return run.seen

    def test_a_long_read_into_a_pipe_shows_it_and_cleans_up(self):
        seen = self.read_long()
        self.assertRegex(seen, rb"\rread long \[=*>? *\] +[0-9]+% [0-9.]+k? messages, ")
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen)

    def test_quiet_and_dumb_terminals_show_nothing(self):
        self.assertEqual(self.read_long("-q"), b"")
        self.assertEqual(self.read_long(env={"TERM": "dumb"}), b"")

    def test_messages_on_the_same_terminal_are_not_mixed_with_it(self):
        run = Terminal("read", "long", "-n", "5")
        self.assertEqual(run.end(), 0)
        self.assertNotIn(b"%", run.seen)
        self.assertEqual(run.seen.count(b"\n"), 5)

    def test_a_pub_shows_how_much_it_has_sent(self):
        run = Terminal("pub", "slow-pub", streams=("stderr",), stdin=subprocess.PIPE)
        begun = time.monotonic()
        lines = 0
        while b"messages, " not in run.seen:
            self.assertLess(time.monotonic() - begun, TIMEOUT_S)
            run.process.stdin.write(b"x\n")
            run.process.stdin.flush()
            lines += 1
            if select.select([run.master], [], [], 0.01)[0]:
                run.read_some()
        run.process.stdin.close()
        self.assertEqual(run.end(), 0)
        self.assertIn(b"\rpub slow-pub ", run.seen)
        self.assertEqual(len(self.good("read", "slow-pub").lines()), lines)

    def test_a_pub_of_a_file_shows_its_share_until_all_is_confirmed(self):
        self.good("topic", "create", "from-file")
        BROKER.process.send_signal(signal.SIGSTOP)
        try:
            run = Terminal("pub", "from-file", "--file", __file__, streams=("stderr",))
            run.expect(b"\rpub from-file [========================] 100% 0 messages, 0/s")
        finally:
            BROKER.process.send_signal(signal.SIGCONT)
        self.assertEqual(run.end(), 0)
        with open(__file__, "rb") as file:
            self.assertEqual(self.good("read", "from-file").out, file.read())

    def test_a_pull_shows_how_much_it_has_done(self):
        run = Terminal("pull", "slow", "-g", "s", streams=("stderr",))
        begun = time.monotonic()
        while b"messages, " not in run.seen:
            self.assertLess(time.monotonic() - begun, TIMEOUT_S)
            self.good("pub", "slow", "x")
            self.assertEqual(run.process.stdout.readline(), b"x\n")
            while select.select([run.master], [], [], 0)[0]:
                run.read_some()
        run.process.send_signal(signal.SIGINT)
        self.assertEqual(run.end(), 0)
        self.assertIn(b"\rpull for s", run.seen)


class CtrlC(Case):
    def test_a_second_one_ends_at_once(self):
        # The broker stands still while there is more to print than the pipe takes: what is printed
        # from then on is settled without an answer, and the first Ctrl-C cannot finish.
        self.good("pub", "stuck", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                                 for i in range(2000)))
        with subprocess.Popen(command("pull", "stuck", "-g", "s", "--timeout", "50s"),
                              stdout=subprocess.PIPE) as puller:
            self.assertTrue(puller.stdout.readline().startswith(b"000000"))
            BROKER.process.send_signal(signal.SIGSTOP)
            try:
                for _ in range(600):
                    puller.stdout.readline()
                begun = time.monotonic()
                while puller.poll() is None:
                    puller.send_signal(signal.SIGINT)
                    try:
                        puller.wait(0.1)
                    except subprocess.TimeoutExpired:
                        self.assertLess(time.monotonic() - begun, 30)
            finally:
                BROKER.process.send_signal(signal.SIGCONT)
            self.assertEqual(puller.returncode, -signal.SIGINT)


if __name__ == "__main__":
    main()
