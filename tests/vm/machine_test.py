#!/usr/bin/env python3
"""What becomes of the processes of a run: machines are shell commands here. scripts/test.sh checks runs it."""
import contextlib
import multiprocessing
import os
import pathlib
import signal
import tempfile
import time
import unittest
from unittest import mock

import at_once
import kernels
import machine
from deadline import Deadline

KERNEL = kernels.Kernel("6.1", "6.1.0-57-amd64", pathlib.Path("vmlinuz"), pathlib.Path("modules"))
PATIENCE_S = 120


def eventually(condition):
    """Whether it comes true; waits for that."""
    deadline = Deadline(PATIENCE_S)
    while not condition():
        if not deadline.left():
            return False
        time.sleep(0.05)
    return True


def has_ended(pid):
    """Whether there is no such process; one that waits only for its parent to notice has ended too."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Processes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.pid_file = self.folder / "pid"

    def sleeps(self):
        """A command that writes down its process and stays."""
        return ["sh", "-c", f"echo $$ >{self.folder}/new; mv {self.folder}/new {self.pid_file}; exec sleep 1000"]

    def run_machine(self, command, seconds=PATIENCE_S):
        with mock.patch.object(machine, "QEMU", "sh"), \
                mock.patch.object(machine, "command_line", lambda *_: command):
            machine.run(KERNEL, self.folder / "initrd", self.folder, Deadline(seconds), lambda _: None)

    def assert_ends_with(self, with_signal, target, *arguments):
        """What `target`, in a process of its own, has started with sleeps() ends when that process is killed."""
        run = multiprocessing.get_context("fork").Process(target=target, args=arguments)
        run.start()
        self.addCleanup(run.kill)
        self.assertTrue(eventually(self.pid_file.exists), "the command was not started")
        pid = int(self.pid_file.read_text())
        self.assertFalse(has_ended(pid))
        os.kill(run.pid, with_signal)
        run.join()
        gone = eventually(lambda: has_ended(pid))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(gone)


class Machine(Processes):
    def test_it_ends_with_its_run_however_that_ends(self):
        self.assert_ends_with(signal.SIGKILL, self.run_machine, self.sleeps())

    def test_it_ends_at_the_deadline(self):
        with self.assertRaisesRegex(machine.MachineError, "not finished after"):
            self.run_machine(self.sleeps(), seconds=0.5)

    def test_a_qemu_that_says_more_than_a_pipe_holds_is_not_kept_waiting(self):
        with self.assertRaisesRegex(machine.MachineError, "ended before its job was done; qemu says: xxx"):
            self.run_machine(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2"])


class AtOnce(Processes):
    def test_as_many_run_at_once_as_are_allowed(self):
        def meets(mine, other):
            return ["timeout", str(PATIENCE_S), "sh", "-c",
                    f"touch {self.folder}/{mine}; until [ -e {self.folder}/{other} ]; do sleep 0.1; done"]

        self.assertEqual(at_once.run({"a": meets("a", "b"), "b": meets("b", "a")}, 2), {"a": "", "b": ""})

    def test_the_rest_runs_afterwards(self):
        alone = ["sh", "-c", f"mkdir {self.folder}/alone && sleep 0.3 && rmdir {self.folder}/alone"]
        self.assertEqual(at_once.run(dict.fromkeys("abc", alone), 1), dict.fromkeys("abc", ""))

    def test_what_dies_is_told_of_and_ends_no_other(self):
        self.assertEqual(
            at_once.run({"a": ["sh", "-c", "exit 3"], "b": ["sh", "-c", "kill -KILL $$"],
                         "c": [str(self.folder / "none")], "d": ["sleep", "1"]}, 4),
            {"a": "ended with exit code 3", "b": "was killed by signal 9",
             "c": f"could not be started: [Errno 2] No such file or directory: '{self.folder}/none'", "d": ""})

    def test_none_outlives_the_run(self):
        self.assert_ends_with(signal.SIGKILL, at_once.run, {"a": self.sleeps()}, 1)

    def test_there_is_room_for_one_machine_at_least(self):
        self.assertLessEqual(at_once.room(), os.cpu_count() + 1)
        with mock.patch.object(machine, "MEMORY_MIB", 1 << 40):
            self.assertEqual(at_once.room(), 1)


if __name__ == "__main__":
    unittest.main()
