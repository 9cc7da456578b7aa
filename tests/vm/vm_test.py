#!/usr/bin/env python3
"""What `vm.py test` counts beside the machines' own results, without booting one: scripts/test.sh checks runs it."""
import argparse
import json
import os
import subprocess
import sys
import unittest
from unittest import mock

import kernels
import matrix
import vm
from matrix_test import Folder

LIST = {"6.1": [], "6.12": []}
TEST_SH = vm.ROOT / "scripts/test.sh"


class Command(Folder):
    def setUp(self):
        super().setUp()
        patch = mock.patch.object(kernels, "read_list", lambda: (LIST, "6.12"))
        patch.start()
        self.addCleanup(patch.stop)

    def run_with(self, names=(), **options):
        """vm.py test, whose kernels are run by test_kernel or by commands that are given."""
        arguments = {"kernels": list(names), "short": False, "prove": False, "only": [], "build": "build/dev"}
        self.assertEqual(vm.command_test(argparse.Namespace(**{**arguments, **options})), 0)

    def told(self, name):
        """The failures of one of the results."""
        tests = json.loads((self.results / f"{name}.json").read_text())["tests"]
        return "\n".join(test["text"] for test in tests if test["outcome"] == "failed")


class Complaints(Command):
    def leaves(self, file, text):
        return mock.patch.object(matrix, "test_kernel", lambda *_: (self.results / file).write_text(text))

    def test_results_that_were_cut_off_are_a_failure_of_the_features(self):
        (self.results / "vm-6.12.kernel_test.json").write_text('{"name": "kernel_test", "tests": []}')
        with self.leaves("vm-6.12.kernel_test.xml", "<testsuites><testcase"):
            self.run_with(short=True)
        self.assertIn("ParseError: ", self.told("vm-6.12._features_"))

    def test_a_document_without_its_table_is_a_failure_of_the_features(self):
        document = self.folder / "kernels.md"
        document.write_text("no table")
        with self.leaves("other", ""), mock.patch.object(vm.table, "DOCUMENT", document):
            self.run_with(short=True)
        self.assertIn("ValueError: ", self.told("vm-6.12._features_"))

    def test_results_that_were_cut_off_are_a_failure_of_what_all_kernels_run(self):
        (self.results / "vm-6.1.a.json").write_text('{"name": ')
        with mock.patch.object(vm.at_once, "run", lambda *_: {}):
            self.run_with()
        self.assertIn("JSONDecodeError: ", self.told("vm._all_kernels_"))

    def test_a_proof_that_cannot_begin_is_a_failure(self):
        with self.leaves("other", ""), mock.patch.object(vm.prove, "run", side_effect=OSError("no space")):
            self.run_with(short=True, prove=True)
        self.assertIn("OSError: no space", self.told("vm.prove"))
        self.assertEqual(self.told("vm._time_"), "")


class Several(Command):
    def commands(self, **scripts):
        """Each kernel's run is a shell script in the folder of results."""
        return mock.patch.object(vm, "command_of", lambda _, name: [
            "sh", "-c", f"cd {self.results}; {scripts['of_' + name.replace('.', '_')]}"])

    def test_one_that_dies_is_a_failure_that_names_its_kernel(self):
        with self.commands(of_6_1="exit 3", of_6_12="true"):
            self.run_with()
        self.assertEqual(self.told("vm-6.1._the_run_"), "kernel 6.1: its run ended with exit code 3")
        self.assertFalse((self.results / "vm-6.12._the_run_.json").exists())

    def test_what_none_of_them_ran_is_judged_after_all_have_ended(self):
        skips = """echo '{"name": "a", "tests": [{"name": "A", "outcome": "skipped"}]}' >"""
        with self.commands(of_6_1=f"{skips}vm-6.1.a.json", of_6_12=f"sleep 1; {skips}vm-6.12.a.json"):
            self.run_with()
        self.assertEqual(self.told("vm._all_kernels_"), "no kernel ran a A")

    def test_some_of_the_list_are_no_proof_that_none_ran_a_test(self):
        with self.commands(of_6_1="true", of_other="true"):
            self.run_with(["6.1", "other"])
        self.assertFalse((self.results / "vm._all_kernels_.json").exists())

    def test_each_is_a_vm_py_with_the_same_options(self):
        environment = {**os.environ, "FAULTLINE_TEST_RESULTS": str(self.results), "XDG_CACHE_HOME": str(self.folder)}
        asked = ["--build", "no/build", "--only", "netns/none_test", "no-such", "none-such"]
        said = subprocess.run([sys.executable, vm.__file__, "test", *asked], env=environment, capture_output=True,
                              text=True, check=True)
        for name in ("no-such", "none-such"):
            self.assertIn(f"tests/vm/kernels.txt names no kernel '{name}'", self.told(f"vm-{name}._the_machine_"))
            self.assertIn(f"FAILED vm-{name}/(the machine)", said.stdout)
        with mock.patch.object(sys, "argv", vm.command_of(argparse.Namespace(
                build="no/build", only=["netns/a_test A.*", "netns/b_test"], short=True), "6.1")[1:]), \
                mock.patch.object(vm, "command_test", lambda arguments: vars(arguments)), \
                mock.patch.object(vm.signal, "signal"):
            options = vm.main()
        self.assertEqual({key: options[key] for key in ("build", "only", "short", "kernels", "prove")},
                         {"build": "no/build", "only": ["netns/a_test A.*", "netns/b_test"], "short": True,
                          "kernels": ["6.1"], "prove": False})


class Script(unittest.TestCase):
    def test_scripts_test_sh_leaves_no_run_behind_when_it_is_killed(self):
        starts = [line for line in TEST_SH.read_text().splitlines() if "vm.py test" in line]
        self.assertTrue(starts)
        for line in starts:
            self.assertIn("setpriv --pdeathsig TERM python3 tests/vm/vm.py test", line)


if __name__ == "__main__":
    unittest.main()
