#!/usr/bin/env python3
"""Runs test programs and benchmarks under other kernels, in virtual machines without KVM.
Called by scripts/test.sh and scripts/bench.sh.

  vm.py kernels                       names of tests/vm/kernels.txt; the short run's first
  vm.py test [--short] [KERNEL...]    the list of tests/vm/tests.txt; results stand beside those of
                                      other suites in $FAULTLINE_TEST_RESULTS, as suite vm-KERNEL.
                                      --only 'LABEL/NAME [FILTER]' runs that instead, and may be given
                                      more than once
  vm.py bench KERNEL NAME...          benchmarks of build/release; their figures go to stdout
  vm.py table                         writes what the last results show into docs/kernels.md; fails
                                      when it said something else, or a test failed
  vm.py prove                         a machine that panics or hangs, a host without qemu, and one
                                      whose APT offers no kernel, are errors that name the kernel,
                                      show the console, and count as failures
"""
import argparse
import contextlib
import fnmatch
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from unittest import mock

import image
import kernels
import machine
import table

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import test_summary  # noqa: E402  (its folder is known only now)

# Limits for the whole of a machine's run, boot included.
SHORT_LIMIT_S = 360
FULL_LIMIT_S = 5400
BENCH_LIMIT_S = 1800
# Of one program, by tools/test_summary.py in the guest.
PROGRAM_LIMIT_S = 1200


def log(text):
    print(text, file=sys.stderr, flush=True)


def chosen_tests(build, short, only):
    """[(program, filter or None)] of tests.txt, or of `only`, words in the same form; raises when one
    names nothing."""
    chosen = []
    listed = [f"only {words}" for words in only] or (HERE / "tests.txt").read_text().splitlines()
    for line in listed:
        words = line.split("#")[0].split()
        if not words or words[0] not in ("only", "short" if short else "full"):
            continue
        label, name = words[1].split("/")
        folder = build / "tests" / label
        found = sorted(path for path in folder.glob("*") if path.is_file()
                       and os.access(path, os.X_OK) and fnmatch.fnmatch(path.name, name))
        if not found:
            raise image.ImageError(f"there is no test program {words[1]} in {folder}")
        chosen += [(path, words[2] if len(words) > 2 else None) for path in found]
    return chosen


def our_programs(build):
    """The real programs, which some tests start."""
    return sorted(path for path in (build / "bin").glob("*")
                  if path.is_file() and os.access(path, os.X_OK))


@contextlib.contextmanager
def shared_folder():
    with tempfile.TemporaryDirectory(prefix="faultline-vm-") as path:
        (pathlib.Path(path) / "results").mkdir()
        yield pathlib.Path(path)


def boot(kernel, programs, job, limit_s, on_line, share):
    (share / "job").write_text(job)
    initrd = share.with_name(share.name + ".initrd")
    try:
        image.build(programs, kernel, initrd)
        machine.run(kernel, initrd, share, limit_s, on_line)
    finally:
        initrd.unlink(missing_ok=True)


def tell(line, file=sys.stdout):
    """What the guest prints, but for its kernel's own messages."""
    if line.strip() and not re.match(r"^(\x1b|\[ *\d+\.\d+\])", line):
        print(line, file=file, flush=True)


def collect(suite, share, tests, problem, seconds):
    """Moves results to those of the other suites; what brought none counts as failed."""
    brought = {path.name for path in (share / "results").glob("*")}
    for name in brought:
        shutil.copy(share / "results" / name, test_summary.RESULTS / name)
    if (share / "console.log").exists():
        shutil.copy(share / "console.log", test_summary.RESULTS / f"{suite}.console.log")
    lost = [path.name for path, _ in tests if f"{suite}.{path.name}.json" not in brought]
    if problem or lost:
        text = problem or "the machine ended without a result of every program"
        names = f"\nwithout result: {', '.join(lost)}" if lost else ""
        test_summary.keep(suite, "(the machine)", [
            {"name": "boots, runs every program and ends", "outcome": "failed",
             "text": text + names}], seconds)
    else:
        test_summary.keep(suite, "(the machine)", [
            {"name": "boots, runs every program and ends", "outcome": "passed", "text": ""}],
            seconds)


def job_of(suite, tests):
    lines = ["export FAULTLINE_TEST_RESULTS=/share/results START_SECONDS=$(date +%s)"]
    for path, test_filter in tests:
        prefix = f"--prefix {shlex.quote(f'env GTEST_FILTER={test_filter}')} " if test_filter else ""
        lines.append(f"python3 /tools/test_summary.py run --suite {suite} "
                     f"--limit {PROGRAM_LIMIT_S} {prefix}{shlex.quote(str(path))}")
    return "\n".join(lines) + "\n"


def test_kernel(name, build, short, only=()):
    suite = f"vm-{name}"
    began = time.monotonic()
    tests, problem = [], ""
    with shared_folder() as share:
        try:
            kernel = kernels.fetch(name, log)
            if kernel.note:
                log(f"kernel {name}: {kernel.note}")
            log(f"kernel {name}: booting {kernel.version}")
            tests = chosen_tests(build, short, only)
            boot(kernel, [path for path, _ in tests] + our_programs(build), job_of(suite, tests),
                 SHORT_LIMIT_S if short else FULL_LIMIT_S, tell, share)
        except (kernels.KernelError, image.ImageError, machine.MachineError, OSError) as error:
            problem = f"kernel {name}: {error}" if name not in str(error) else str(error)
        collect(suite, share, tests, problem, time.monotonic() - began)


def command_test(arguments):
    listed, short_kernel = kernels.read_list()
    names = arguments.kernels or ([short_kernel] if arguments.short else list(listed))
    test_summary.RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names:
        test_kernel(name, ROOT / arguments.build, arguments.short, arguments.only)
    return 0


def command_bench(arguments):
    build = ROOT / arguments.build
    programs = [build / "bench" / name for name in arguments.names]
    for program in programs:
        if not program.exists():
            raise image.ImageError(f"there is no benchmark {program}")
    kernel = kernels.fetch(arguments.kernel, log)
    log(f"kernel {arguments.kernel}: booting {kernel.version}; software emulation: "
        "only ratios mean something")
    # Figures and the rest must not mix on the console.
    job = "".join(f"echo 'bench {program.name}'\n{shlex.quote(str(program))} "
                  f">>/share/figures 2>/share/complaints || echo {program.name} >>/share/failed\n"
                  "cat /share/complaints\n" for program in programs)
    with shared_folder() as share:
        try:
            boot(kernel, programs + our_programs(build), job, BENCH_LIMIT_S,
                 lambda line: tell(line, sys.stderr), share)
        finally:
            if (share / "figures").exists():
                print((share / "figures").read_text(), end="", flush=True)
        if (share / "failed").exists():
            log("failed: " + " ".join((share / "failed").read_text().split()))
            return 1
    return 0


def told_error(kernel, job, limit_s):
    with shared_folder() as share:
        try:
            boot(kernel, [], job, limit_s, lambda line: None, share)
        except machine.MachineError as error:
            return str(error)
    return ""


def error_without_package(name):
    with tempfile.TemporaryDirectory() as empty, \
            mock.patch.object(kernels, "CACHE", pathlib.Path(empty)), \
            mock.patch.object(kernels, "output_of", lambda *_: ""), \
            mock.patch.object(kernels, "ask_apt", lambda _: ""):
        try:
            kernels.fetch(name, log)
        except kernels.KernelError as error:
            return str(error)
    return ""


def result_without_qemu(name):
    """What a run of tests that never booted leaves: its one result, as text when it is a failure."""
    with tempfile.TemporaryDirectory() as results, \
            mock.patch.object(test_summary, "RESULTS", pathlib.Path(results)), \
            mock.patch.object(machine, "QEMU", "qemu-of-a-host-that-has-none"), \
            contextlib.redirect_stdout(io.StringIO()):
        test_kernel(name, ROOT / "build/dev", short=True)
        kept = [json.loads(path.read_text()) for path in pathlib.Path(results).glob("*.json")]
    tests = [test for result in kept for test in result["tests"]]
    return tests[0]["text"] if [test["outcome"] for test in tests] == ["failed"] else str(tests)


def command_prove(_):
    name = kernels.read_list()[1]
    kernel = kernels.fetch(name, log)
    told = {
        "panicked": told_error(kernel, "echo c >/proc/sysrq-trigger\n", SHORT_LIMIT_S),
        "not finished after 5 s": told_error(kernel, "sleep 1000\n", 5),
        "ended before its job was done": told_error(kernel, "poweroff -f\n", SHORT_LIMIT_S),
        "offers none of": error_without_package(name),
        "is missing": result_without_qemu(name),
    }
    wrong = [f"'{words}' is not in: {text or 'no error'}" for words, text in told.items()
             if words not in text or f"kernel {name}" not in text]
    if "\n  | " not in told["panicked"]:
        wrong.append(f"no line of the console is in: {told['panicked']}")
    print("\n".join(wrong))
    return 1 if wrong else 0


def command_kernels(_):
    listed, short_kernel = kernels.read_list()
    print("\n".join([short_kernel] + [name for name in listed if name != short_kernel]))
    return 0


def command_table(_):
    complaint = table.update(test_summary.RESULTS)
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
    test.add_argument("--only", action="append", default=[])
    test.add_argument("--build", default="build/dev")
    test.add_argument("kernels", nargs="*")
    test.set_defaults(function=command_test)
    bench = commands.add_parser("bench")
    bench.add_argument("--build", default="build/release")
    bench.add_argument("kernel")
    bench.add_argument("names", nargs="+")
    bench.set_defaults(function=command_bench)
    commands.add_parser("prove").set_defaults(function=command_prove)
    commands.add_parser("table").set_defaults(function=command_table)
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
