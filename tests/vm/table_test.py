#!/usr/bin/env python3
"""What table.py makes of results that are made up: scripts/test.sh checks runs it."""
import contextlib
import json
import pathlib
import tempfile
import unittest
from unittest import mock

import kernels
import table

NO_TCX = "the kernel has no TCX (it came with 6.6); clsact filters are used instead"
NO_QUEUE = "the kernel has no queue"
VERSION = "6.1.0-57-amd64"


def test(name, outcome="passed", text=""):
    return {"name": name, "outcome": outcome, "text": text}


class Results(unittest.TestCase):
    """A folder of results of a kernel 6.1, a table of its own, and few rows."""

    def setUp(self):
        with contextlib.ExitStack() as stack:
            self.results = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.document = self.results / "kernels.md"
            self.document.write_text(f"before\n\n{table.BEGIN}\n\n{table.END}\n\nafter\n")
            for patch in (mock.patch.object(table, "DOCUMENT", self.document),
                          mock.patch.object(kernels, "read_list", lambda: ({"6.1": []}, "6.1")),
                          mock.patch.object(table, "FEATURE_ROWS", (("a feature", "feature.f"),)),
                          mock.patch.object(table, "KIND_TESTS", {"KIND": (("kind_test", "Does"),)}),
                          mock.patch.object(table, "TEST_ROWS", (("an effect", "effect_test", "S.E"),)),
                          mock.patch.object(table, "kinds_of_the_source", lambda: {"KIND"})):
                stack.enter_context(patch)
            self.addCleanup(stack.pop_all().close)
        self.keep("(the machine)", [dict(test("boots"), properties={"kernel.version": VERSION})])
        self.keep("kernel_test", [test("K.Asks")], {"feature.f": "", "kind.KIND": ""})
        self.keep("kind_test", [test("K.Does")])
        self.keep("effect_test", [test("S.E1"), test("S.E2")])

    def keep(self, program, tests, properties=None):
        name = program.replace("(the machine)", "_the_machine_")
        (self.results / f"vm-6.1.{name}.json").write_text(json.dumps(
            {"suite": "vm-6.1", "name": program, "seconds": 1, "tests": tests}))
        inside = "".join(f"<property name='{key}' value='{value}'/>"
                         for key, value in (properties or {}).items())
        (self.results / f"vm-6.1.{name}.xml").write_text(
            f"<testsuites><testsuite><testcase><properties>{inside}</properties></testcase>"
            "</testsuite></testsuites>")

    def tell_no_tcx(self):
        self.keep("kernel_test", [test("K.Asks")],
                  {"feature.f": "", "kind.KIND": "", "feature.tcx": NO_TCX, "fallback.tcx": "yes"})

    def cells(self):
        return table.column(self.results, "6.1").cells

    def refusal(self):
        """What update says when it leaves the document alone."""
        before = self.document.read_text()
        told = table.update(self.results)
        self.assertEqual(self.document.read_text(), before)
        return told


class Verdicts(Results):
    def test_passed_tests_are_native(self):
        self.assertEqual(self.cells(), {"a feature": "native", "`KIND`": "native", "an effect": "native"})

    def test_a_failed_test_fails(self):
        self.keep("effect_test", [test("S.E1"), test("S.E2", "failed", "1 is not 2")])
        self.assertEqual(self.cells()["an effect"], "fails")

    def test_a_crashed_program_fails_every_row_that_uses_it(self):
        self.keep("effect_test", [test("S.E1"), test("(the program)", "failed", "crashed: SIGSEGV")])
        self.keep("kind_test", [test("K.Does"), test("(the program)", "failed", "exit code 3")])
        self.assertEqual(self.cells()["an effect"], "fails")
        self.assertEqual(self.cells()["`KIND`"], "fails")

    def test_no_test_of_that_name_fails(self):
        self.keep("effect_test", [test("S.Other")])
        self.assertEqual(self.cells()["an effect"], "fails")

    def test_an_absent_program_was_not_run(self):
        (self.results / "vm-6.1.effect_test.json").unlink()
        (self.results / "vm-6.1.kind_test.json").unlink()
        self.assertEqual(self.cells()["an effect"], "not run")
        self.assertEqual(self.cells()["`KIND`"], "not run")

    def test_skipped_tests_are_refusals_with_their_sentence(self):
        self.keep("effect_test", [test("S.E1", "skipped", NO_QUEUE), test("S.E2", "skipped", NO_QUEUE)])
        self.assertEqual(self.cells()["an effect"], f"refused: {NO_QUEUE}")
        self.keep("effect_test", [test("S.E1"), test("S.E2", "skipped", NO_QUEUE)])
        self.assertEqual(self.cells()["an effect"], f"native; in part refused: {NO_QUEUE}")

    def test_what_goes_another_way_is_a_fallback(self):
        self.keep("effect_test", [test("S.E/tcx", "skipped", NO_TCX), test("S.E/clsact")])
        self.assertEqual(self.cells()["an effect"], f"native; in part refused: {NO_TCX}")
        self.tell_no_tcx()
        self.assertEqual(self.cells()["an effect"], f"fallback: {NO_TCX}")
        self.keep("kernel_test", [test("K.Asks")], {"feature.f": NO_TCX, "fallback.f": "yes", "kind.KIND": ""})
        self.assertEqual(self.cells()["a feature"], f"fallback: {NO_TCX}")

    def test_a_refusal_is_told_before_a_fallback(self):
        self.tell_no_tcx()
        self.keep("effect_test", [test("S.E1", "skipped", NO_TCX), test("S.E2", "skipped", NO_QUEUE),
                                  test("S.E3")])
        self.assertEqual(self.cells()["an effect"], f"native; in part refused: {NO_QUEUE}")

    def test_a_kind_is_as_its_worst_tests_are(self):
        two = {"KIND": (("effect_test", "S"), ("kind_test", "Does"))}
        self.keep("effect_test", [test("S.E/tcx", "skipped", NO_TCX), test("S.E/clsact")])
        self.keep("kind_test", [test("K.Does", "failed", "no")])
        with mock.patch.object(table, "KIND_TESTS", two):
            self.assertEqual(self.cells()["`KIND`"], "fails")

    def test_a_kind_that_the_probe_refuses_is_refused(self):
        self.keep("kernel_test", [test("K.Asks")], {"feature.f": "", "kind.KIND": NO_QUEUE})
        self.assertEqual(self.cells()["`KIND`"], f"refused: {NO_QUEUE}")


class Update(Results):
    def test_a_good_run_is_written_with_the_version_that_was_run(self):
        self.assertIn("rewritten", table.update(self.results))
        self.assertIn(f"| | 6.1 ({VERSION}) |\n", self.document.read_text())
        self.assertIn("| an effect | native |\n", self.document.read_text())
        self.assertEqual(table.update(self.results), "")
        self.assertEqual(table.check(), "")

    def test_any_failed_test_is_a_refusal_even_of_no_row(self):
        self.keep("other_test", [test("O.Other", "failed", "no")])
        self.assertIn("kernel 6.1: failed: other_test O.Other", self.refusal())

    def test_a_machine_that_failed_is_a_refusal(self):
        self.keep("(the machine)", [test("boots", "failed", "panicked")])
        self.assertIn("failed: (the machine) boots", self.refusal())

    def test_a_kernel_test_without_results_is_a_refusal(self):
        for path in self.results.glob("vm-6.1.kernel_test.*"):
            path.unlink()
        self.assertIn("a feature: not run", self.refusal())

    def test_an_absent_program_is_a_refusal(self):
        (self.results / "vm-6.1.effect_test.json").unlink()
        self.assertIn("an effect: not run", self.refusal())

    def test_a_kind_without_tests_is_a_refusal(self):
        self.keep("kernel_test", [test("K.Asks")], {"feature.f": "", "kind.KIND": "", "kind.NEW": ""})
        self.assertIn("`NEW`: not run", self.refusal())

    def test_results_that_were_cut_off_are_a_refusal(self):
        (self.results / "vm-6.1.effect_test.json").write_text('{"suite": ')
        self.assertIn("cannot be read", self.refusal())

    def test_no_results_are_a_refusal(self):
        for path in self.results.glob("vm-*"):
            path.unlink()
        self.assertIn("no kernel was run", self.refusal())


class Check(Results):
    def setUp(self):
        super().setUp()
        table.update(self.results)

    def test_a_row_too_few_and_one_too_many_are_told(self):
        self.document.write_text(self.document.read_text().replace("an effect", "an old one"))
        self.assertIn("'an effect' is missing", table.check())
        self.assertIn("'an old one' is not one of", table.check())

    def test_what_fails_or_was_not_run_is_told(self):
        for cell in ("fails", "not run"):
            text = self.document.read_text()
            self.document.write_text(text.replace("| an effect | native |", f"| an effect | {cell} |"))
            self.assertIn(f"row 'an effect': {cell}", table.check())
            self.document.write_text(text)

    def test_a_kernel_without_column_is_told(self):
        with mock.patch.object(kernels, "read_list", lambda: ({"6.1": [], "newest": []}, "6.1")):
            self.assertIn("kernel newest has no column", table.check())

    def test_a_kind_of_the_source_that_no_row_knows_is_told(self):
        with mock.patch.object(table, "kinds_of_the_source", lambda: {"KIND", "NEW"}):
            self.assertIn("differ about NEW", table.check())


if __name__ == "__main__":
    unittest.main()
