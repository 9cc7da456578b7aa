#!/usr/bin/env python3
"""Runs test programs and benchmarks under other kernels, in virtual machines without KVM.
Called by scripts/test.sh and scripts/bench.sh.

  vm.py kernels                       names of tests/vm/kernels.txt; the short run's first
  vm.py test [--short] [KERNEL...]    the list of tests/vm/tests.txt; results stand beside those of
                                      other suites in $FAULTLINE_TEST_RESULTS, as suite vm-KERNEL.
                                      --only 'LABEL/NAME [FILTER]' runs that instead, and may be given
                                      more than once. --prove: `prove` after it, counted, and both
                                      together within six minutes. Several kernels are run at once, as
                                      many as there are processors and one more, and memory
  vm.py bench KERNEL NAME...          benchmarks of build/release; their figures go to stdout
  vm.py table [--check]               writes what the last results show into docs/kernels.md; fails
                                      when it said something else, or a test failed. --check only
                                      looks whether it has the rows that it should, all of them run
  vm.py prove                         a machine that panics, hangs, ends early or has no kernel, a host
                                      without qemu, and one whose APT offers no kernel, are counted
                                      failures that name the kernel and show the console
"""
import argparse
import pathlib
import signal
import sys

import at_once
import benches
import image
import kernels
import machine
import matrix
import prove
import table
from deadline import Deadline
from matrix import ROOT, log, test_summary

# Limits for the whole of a kernel's run: download, boot and tests. Three at once on two cores, and a compiler
# beside them, took up to 97 minutes when a kernel had 440 tests.
FULL_LIMIT_S = 10800
BENCH_LIMIT_S = 1800
# Of all that plain scripts/test.sh does with machines: the short run, then what machines do that fail,
# which is left some time whatever became of the short run.
PLAIN_LIMIT_S = 360
SHORT_LIMIT_S = PLAIN_LIMIT_S - prove.LIMIT_S


def keep_one(suite, name, sentence, complaint):
    test_summary.keep(suite, name, [matrix.judged(sentence, complaint)], 0.0)


def complaint_of(ask, *arguments):
    """What `ask` complains of, or ''. An exception is a complaint."""
    try:
        return ask(*arguments)
    except Exception as error:  # pylint: disable=broad-except
        return matrix.with_traceback(error)


def command_of(arguments, name):
    """What runs one of several kernels."""
    return [sys.executable, str(pathlib.Path(__file__).resolve()), "test", f"--build={arguments.build}",
            *(["--short"] if arguments.short else []), *(f"--only={only}" for only in arguments.only), name]


def test_one(arguments, name, deadline):
    matrix.test_kernel(name, ROOT / arguments.build, arguments.short, deadline, arguments.only)
    if arguments.short:
        keep_one(f"vm-{name}", "(features)", "has the features that docs/kernels.md says",
                 complaint_of(table.differs_from_document, test_summary.RESULTS, name))


def test_several(arguments, names):
    commands = {name: command_of(arguments, name) for name in names}
    for name, complaint in at_once.run(commands, at_once.room()).items():
        if complaint:
            keep_one(f"vm-{name}", "(the run)", "comes to its end", f"kernel {name}: its run {complaint}")


def proven(build, deadline):
    try:
        return prove.run(build, deadline)
    except Exception as error:  # pylint: disable=broad-except
        return [matrix.judged("machines that go wrong are made", matrix.with_traceback(error))]


def command_test(arguments):
    """Whatever goes wrong is a counted failure."""
    began = Deadline(PLAIN_LIMIT_S)
    test_summary.RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        listed, short_kernel = kernels.read_list()
        names = arguments.kernels or ([short_kernel] if arguments.short else list(listed))
    except Exception as error:  # pylint: disable=broad-except
        test_summary.keep("vm", "(the list)", [
            {"name": "", "outcome": "failed",
             "text": f"tests/vm/kernels.txt cannot be read: {type(error).__name__}: {error}"}], 0.0)
        return 0
    if len(names) > 1:
        test_several(arguments, names)
    else:
        test_one(arguments, names[0], began.part(SHORT_LIMIT_S) if arguments.short else Deadline(FULL_LIMIT_S))
    if not arguments.short and not arguments.only and set(names) == set(listed):
        keep_one("vm", "(all kernels)", "every test runs under one of them",
                 complaint_of(matrix.never_run, test_summary.RESULTS, names))
    if arguments.prove:
        before_s = began.passed()
        tests = proven(ROOT / arguments.build, began)
        test_summary.keep("vm", "prove", tests, began.passed() - before_s)
        keep_one("vm", "(time)", f"all of it is done within {PLAIN_LIMIT_S} s",
                 f"it took {began.passed():.0f} s" if began.passed() > PLAIN_LIMIT_S else "")
        test_summary.say(f"virtual machines: {began.passed():.0f} s of the {PLAIN_LIMIT_S} s "
                         "that they may take")
    return 0


def command_bench(arguments):
    holds = benches.run(arguments.kernel, ROOT / arguments.build, arguments.names, Deadline(BENCH_LIMIT_S))
    return 0 if holds else 1


def command_prove(arguments):
    """For people: scripts/test.sh does it after the short run."""
    deadline = Deadline(PLAIN_LIMIT_S)
    tests = prove.run(ROOT / arguments.build, deadline)
    for test in tests:
        print(f"{test['outcome']}: {test['name']}" + (f"\n{test['text']}" if test["text"] else ""))
    log(f"{deadline.passed():.0f} s")
    return 1 if any(test["outcome"] != "passed" for test in tests) else 0


def command_kernels(_):
    listed, short_kernel = kernels.read_list()
    print("\n".join([short_kernel] + [name for name in listed if name != short_kernel]))
    return 0


def command_table(arguments):
    complaint = table.check() if arguments.check else table.update(test_summary.RESULTS)
    if complaint:
        print(complaint)
    return 1 if complaint else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("kernels").set_defaults(function=command_kernels)
    test = commands.add_parser("test")
    test.add_argument("--short", action="store_true")
    test.add_argument("--prove", action="store_true")
    test.add_argument("--only", action="append", default=[])
    test.add_argument("--build", default="build/dev")
    test.add_argument("kernels", nargs="*")
    test.set_defaults(function=command_test)
    bench = commands.add_parser("bench")
    bench.add_argument("--build", default="build/release")
    bench.add_argument("kernel")
    bench.add_argument("names", nargs="+")
    bench.set_defaults(function=command_bench)
    proof = commands.add_parser("prove")
    proof.add_argument("--build", default="build/dev")
    proof.set_defaults(function=command_prove)
    tables = commands.add_parser("table")
    tables.add_argument("--check", action="store_true")
    tables.set_defaults(function=command_table)
    arguments = parser.parse_args()
    # Folders are removed also when the run is called off.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return arguments.function(arguments)
    except (kernels.KernelError, image.ImageError, machine.MachineError) as error:
        log(f"error: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
