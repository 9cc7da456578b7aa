#!/usr/bin/env python3
"""What is counted when a kernel's run goes wrong before or beside its machine, without booting one:
scripts/test.sh checks runs it. What machines do is proven by prove.py."""
import contextlib
import io
import json
import pathlib
import subprocess
import tempfile
import unittest
from unittest import mock

import kernels
import matrix
from deadline import Deadline

NAME = "6.1"
KERNEL = kernels.Kernel(NAME, "6.1.0-57-amd64", pathlib.Path("vmlinuz"), pathlib.Path("modules"))


class Folder(unittest.TestCase):
    def setUp(self):
        with contextlib.ExitStack() as stack:
            self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.results = self.folder / "results"
            self.results.mkdir()
            for patch in (mock.patch.object(matrix.test_summary, "RESULTS", self.results),
                          mock.patch.object(matrix, "log", lambda _: None),
                          contextlib.redirect_stdout(io.StringIO())):
                stack.enter_context(patch)
            self.addCleanup(stack.pop_all().close)


class Counted(Folder):
    def run_with(self, fetch=lambda *_: KERNEL, short=True, brought=(), chosen=(), files=()):
        """The machine's own tests, of a run that brings these results, and files {path in the share: text}."""
        def boot(_kernel, _programs, _job, _deadline, _on_line, share):
            for name, tests in brought:
                text = tests if isinstance(tests, str) else json.dumps({"name": name, "tests": tests})
                (share / "results" / f"vm-{NAME}.{name}.json").write_text(text)
            for path, text in dict(files).items():
                (share / path).write_text(text)

        with mock.patch.object(kernels, "fetch", fetch), mock.patch.object(matrix, "boot", boot), \
                mock.patch.object(matrix, "chosen_tests",
                                  lambda *_: [(pathlib.Path(name), None) for name in chosen]):
            matrix.test_kernel(NAME, self.folder, short, Deadline(10))
        return json.loads((self.results / f"vm-{NAME}._the_machine_.json").read_text())["tests"]

    def told(self, **run):
        """The sentences of what failed."""
        return "\n".join(test["text"] for test in self.run_with(**run) if test["outcome"] == "failed")

    def test_errors_of_any_type_fail_and_name_the_kernel(self):
        for error in (kernels.KernelError("nothing"), RuntimeError("nothing"), KeyError("nothing"),
                      subprocess.CalledProcessError(1, "nothing")):
            text = self.told(fetch=mock.Mock(side_effect=error))
            self.assertTrue(text.startswith(f"kernel {NAME}: "), text)
            self.assertIn("nothing", text)

    def test_another_kernels_name_in_an_error_is_not_its_own(self):
        text = self.told(fetch=mock.Mock(side_effect=kernels.KernelError("kernel 6.12: nothing")))
        self.assertTrue(text.startswith(f"kernel {NAME}: kernel 6.12"), text)

    def test_a_good_run_passes_and_tells_version_and_note(self):
        noted = kernels.Kernel(NAME, KERNEL.version, KERNEL.image, KERNEL.modules, "a cached one")
        first, *others = self.run_with(fetch=lambda *_: noted, chosen=["a"],
                                       brought=[("a", [{"name": "A", "outcome": "passed", "text": ""}])])
        self.assertEqual([test["outcome"] for test in (first, *others)], ["passed"] * 2)
        self.assertEqual(first["text"], f"Linux {KERNEL.version}; a cached one")
        self.assertEqual(first["properties"], {"kernel.version": KERNEL.version,
                                               "kernel.note": "a cached one"})

    def test_programs_without_result_and_results_that_were_cut_off_fail(self):
        text = self.told(chosen=["a", "b"], brought=[("b", '{"name": ')],
                         files={"console.log": "guest: up\nguest: said last\n"})
        self.assertIn(f"kernel {NAME}: ", text)
        self.assertIn("without result: a, b", text)
        self.assertIn(f"cut off: vm-{NAME}.b.json", text)
        self.assertIn("\n  | guest: said last", text)
        self.assertFalse((self.results / f"vm-{NAME}.b.json").exists())

    def test_an_xml_that_was_cut_off_fails_though_its_program_passed(self):
        passed = [("a", [{"name": "A", "outcome": "passed", "text": ""}])]
        for xml in ("<testsuites><testcase", ""):
            text = self.told(chosen=["a"], brought=passed, files={f"results/vm-{NAME}.a.xml": xml})
            self.assertIn(f"cut off: vm-{NAME}.a.xml", text)
            self.assertFalse((self.results / f"vm-{NAME}.a.xml").exists())
        whole = {f"results/vm-{NAME}.a.xml": "<testsuites/>"}
        self.assertEqual(self.told(chosen=["a"], brought=passed, files=whole), "")
        self.assertTrue((self.results / f"vm-{NAME}.a.xml").exists())

    def test_any_skip_of_the_short_list_fails(self):
        skip = [{"name": "A", "outcome": "passed", "text": ""},
                {"name": "B", "outcome": "skipped", "text": "no tun"}]
        self.assertIn("a B was skipped, though this kernel has all that the short list needs: no tun",
                      self.told(brought=[("a", skip)]))
        self.assertEqual(self.told(brought=[("a", skip)], short=False), "")

    def test_a_program_of_the_full_list_that_skips_everything_fails(self):
        skips = [{"name": name, "outcome": "skipped", "text": "no tun"} for name in "AB"]
        self.assertIn("every test of a was skipped: no tun",
                      self.told(brought=[("a", skips)], short=False))


class Coverage(Folder):
    def keep(self, kernel, program, **outcomes):
        (self.results / f"vm-{kernel}.{program}.json").write_text(json.dumps(
            {"name": program, "tests": [{"name": name, "outcome": outcome, "text": ""}
                                        for name, outcome in outcomes.items()]}))

    def test_what_every_kernel_skips_is_told_and_nothing_else(self):
        self.keep("6.1", "a", A="skipped", B="skipped", C="passed")
        self.keep("6.12", "a", A="skipped", B="passed", C="skipped")
        self.assertEqual(matrix.never_run(self.results, ["6.1", "6.12"]), "no kernel ran a A")
        self.assertEqual(matrix.never_run(self.results, ["6.1"]), "no kernel ran a A\nno kernel ran a B")


if __name__ == "__main__":
    unittest.main()
