#!/usr/bin/env python3
"""What image.py says when the host lacks something: scripts/test.sh checks runs it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import image
import kernels
import matrix
from deadline import Deadline


class Image(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kernel = kernels.Kernel("6.1", "6.1.0-57-amd64", self.folder / "vmlinuz", self.folder / "modules")

    def refusal(self, seconds=600):
        with self.assertRaises(image.ImageError) as raised:
            image.build([], self.kernel, self.folder / "initrd", Deadline(seconds))
        return str(raised.exception)

    def test_a_tool_that_is_missing_is_named(self):
        with mock.patch.object(image, "TOOLS", ("sh", "no-such-tool")):
            self.assertIn("no-such-tool is missing on this host", self.refusal())

    def test_a_host_without_busybox_is_told_its_package(self):
        found = image.find_tool
        with mock.patch.object(image, "find_tool", lambda name: None if name == "busybox" else found(name)):
            self.assertIn("busybox is missing (package busybox-static)", self.refusal())

    def test_a_library_that_is_missing_is_named(self):
        of_a_program = image.Image(Deadline(60), self.folder)
        of_a_program.elf = ["/a/program"]
        told = subprocess.CompletedProcess([], 0, "\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\tlibnone.so.1 => not found\n")
        with mock.patch.object(image.Image, "ask", lambda *_: told), \
                self.assertRaisesRegex(image.ImageError, "a library is missing on this host: libnone.so.1"):
            of_a_program.add_libraries()

    def test_a_test_program_that_is_missing_is_named(self):
        for only in ((), ("netns/no_such_test",)):
            with self.assertRaisesRegex(image.ImageError, r"there is no test program netns/\w+ in "):
                matrix.chosen_tests(self.folder, True, only)

    def test_the_runs_deadline_ends_what_is_asked_of_the_host(self):
        with self.assertRaisesRegex(image.ImageError, "sleep was not finished when the run's time was over"):
            image.Image(Deadline(0.2), self.folder).ask("sleep", "100")
        with mock.patch.object(image, "TOOLS", ()), mock.patch.object(image, "find_tool", lambda _: sys.executable):
            self.assertIn(f"{sys.executable} was not finished", self.refusal(seconds=0))

    def test_an_image_holds_programs_at_their_own_path_and_their_libraries(self):
        of_a_program = image.Image(Deadline(600), self.folder)
        of_a_program.program("/bin/sleep")
        of_a_program.add_libraries()
        self.assertIn("/bin/sleep", of_a_program.entries)
        self.assertTrue([path for path in of_a_program.entries if "/libc.so" in path], of_a_program.entries.keys())


if __name__ == "__main__":
    unittest.main()
