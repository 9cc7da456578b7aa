#!/usr/bin/env python3
"""What kernels.py brings when APT, its tools, the disk or the cache are not as they should be: nothing is
downloaded. scripts/test.sh checks runs it."""
import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import kernels
from deadline import Deadline

NAME = "6.1"
CACHED, OFFERED = "6.1.0-57-amd64", "6.1.0-58-amd64"
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def apt(**answers):
    """subprocess.run of a host whose APT offers OFFERED; {word of a command: (exit code, stderr)}."""
    def run(command, **options):
        words = [str(word) for word in command]
        stdout = ""
        if "madison" in words:
            stdout = f"{words[-1]} | 6.1.9-1 | http://x bookworm-security/main amd64 Packages\n"
        elif "show" in words and words[-1].startswith("linux-image-amd64"):
            stdout = f"Depends: linux-image-{OFFERED} (= 6.1.9-1)\n"
        elif "download" in words:
            (pathlib.Path(options["cwd"]) / "image.deb").touch()
        code, stderr = next((answer for word, answer in answers.items() if word in " ".join(words)), (0, ""))
        return subprocess.CompletedProcess(command, code, stdout, stderr)
    return mock.patch.object(kernels.subprocess, "run", run)


class Kernels(unittest.TestCase):
    def setUp(self):
        with contextlib.ExitStack() as stack:
            self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stack.enter_context(mock.patch.object(kernels, "CACHE", self.folder))
            self.addCleanup(stack.pop_all().close)

    def unpacked(self, version, folder="linux-image-of-a-test"):
        (self.folder / folder / "lib/modules" / version).mkdir(parents=True)
        return self.folder / folder

    def cached(self, version=CACHED):
        folder = self.unpacked(version)
        (self.folder / f"kernel-{NAME}").symlink_to(folder.name)
        return folder

    def fetch(self, name=NAME, seconds=60):
        return kernels.fetch(name, lambda _: None, Deadline(seconds))

    def told(self):
        """The sentence when nothing is cached; when something is, that must be used, and noted with it."""
        with self.assertRaisesRegex(kernels.KernelError, f"^kernel {NAME}: ") as raised:
            self.fetch()
        sentence = str(raised.exception).removeprefix(f"kernel {NAME}: ")
        self.cached()
        kernel = self.fetch()
        self.assertEqual(kernel.version, CACHED)
        self.assertTrue(kernel.note.endswith("; the cached one is used"), kernel.note)
        return sentence


class Failures(Kernels):
    def test_another_version_than_the_name_promises_is_refused(self):
        folder = self.cached("6.12.3-amd64")
        for name in (NAME, "6.1.2"):
            with self.assertRaisesRegex(kernels.KernelError, "kernel 6.1.*brought 6.12.3-amd64"):
                kernels.from_folder(name, folder)
        self.assertEqual(kernels.from_folder("6.12", folder).version, "6.12.3-amd64")
        self.assertEqual(kernels.from_folder("newest", folder).version, "6.12.3-amd64")

    def test_an_apt_that_hangs_is_ended_and_the_cached_kernel_noted(self):
        self.cached()
        run = subprocess.run

        def hangs(command, **options):
            return run(["sleep", "100"] if "update" in command else ["true"], **options)

        with mock.patch.object(kernels, "UPDATE_LIMIT_S", 0.2), \
                mock.patch.object(kernels.subprocess, "run", hangs):
            kernel = self.fetch()
        self.assertEqual(kernel.version, CACHED)
        self.assertRegex(kernel.note, r"apt-get update.*was not finished after \d+ s.*the cached one is used")

    def test_the_deadline_ends_any_tool(self):
        with self.assertRaisesRegex(kernels.KernelError, "'sleep 100' was not finished after"):
            kernels.Tools(Deadline(0.2)).run(["sleep", "100"])

    def test_a_lock_that_another_run_keeps_is_waited_for_until_the_deadline(self):
        with open(self.folder / "lock", "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with self.assertRaisesRegex(kernels.KernelError, "kernel 6.1: another run has held"):
                self.fetch(seconds=0.5)

    def test_a_download_that_fails_says_why(self):
        with apt(download=(100, "Get:1 http://x\nE: 404 Not Found\n")):
            self.assertEqual(self.told(), f"'apt-get download linux-image-{OFFERED}=6.1.9-1' failed: E: 404 Not Found")

    def test_a_package_that_cannot_be_unpacked_for_lack_of_space_says_so(self):
        with apt(**{"dpkg-deb": (2, "dpkg-deb: error: tar failed\ntar: No space left on device\n")}):
            self.assertRegex(self.told(), r"linux-image-\S+ 6.1.9-1 could not be unpacked: 'dpkg-deb -x .* failed: "
                                          "tar: No space left on device$")

    def test_a_disk_that_takes_no_folder_for_the_download_says_so(self):
        with apt(), mock.patch.object(kernels.tempfile, "TemporaryDirectory", side_effect=NO_SPACE):
            self.assertIn("No space left on device", self.told())

    def test_a_disk_that_takes_no_list_of_sources_says_so(self):
        with apt(), mock.patch.object(kernels.pathlib.Path, "write_text", side_effect=NO_SPACE):
            self.assertIn("No space left on device", self.told())

    def test_a_host_without_apt_says_so(self):
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}):
            self.assertIn("No such file or directory: 'apt-get'", self.told())


class Cache(Kernels):
    def test_only_what_nobody_has_fetched_for_a_day_is_removed(self):
        linked = self.cached()
        fresh = self.unpacked(CACHED, "linux-image-of-another-checkout")
        unused = self.unpacked(CACHED, "linux-image-of-yesterday")
        for folder in (linked, unused):
            os.utime(folder, (0, time.time() - kernels.UNUSED_LIMIT_S - 60))
        kernels.forget_unused()
        self.assertEqual([folder.exists() for folder in (linked, fresh, unused)], [True, True, False])

    def test_a_fetched_kernel_stays_a_day_when_another_takes_its_name(self):
        first = self.cached()
        os.utime(first, (0, 0))
        with apt(update=(100, "E: no network\n"), download=(100, "")):
            self.assertEqual(self.fetch().version, CACHED)

        def download(_tools, _package, _version, folder):
            self.unpacked(OFFERED, folder.name)

        with apt(), mock.patch.object(kernels, "download", download):
            self.assertEqual(self.fetch().version, OFFERED)
        self.assertNotEqual((self.folder / f"kernel-{NAME}").resolve(), first.resolve())
        self.assertTrue(first.exists())


if __name__ == "__main__":
    unittest.main()
