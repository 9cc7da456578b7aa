"""The list of tests under one kernel: boots it, gathers the results, and counts what went wrong."""
import contextlib
import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree

import image
import kernels
import machine

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import test_summary  # noqa: E402  (its folder is known only now)

# Of one program, by tools/test_summary.py in the guest.
PROGRAM_LIMIT_S = 1200
# The name under which a machine's own result stands beside those of its programs.
MACHINE = "(the machine)"


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


def boot(kernel, programs, job, deadline, on_line, share):
    (share / "job").write_text(job)
    initrd = share.with_name(share.name + ".initrd")
    try:
        image.build(programs, kernel, initrd, deadline)
        machine.run(kernel, initrd, share, deadline, on_line)
    finally:
        initrd.unlink(missing_ok=True)


def tell(line, file=sys.stdout):
    """What the guest prints, but for its kernel's own messages."""
    if line.strip() and not re.match(r"^(\x1b|\[ *\d+\.\d+\])", line):
        print(line, file=file, flush=True)


def job_of(suite, tests):
    lines = ["export FAULTLINE_TEST_RESULTS=/share/results START_SECONDS=$(date +%s)"]
    for path, test_filter in tests:
        prefix = f"--prefix {shlex.quote(f'env GTEST_FILTER={test_filter}')} " if test_filter else ""
        lines.append(f"python3 /tools/test_summary.py run --suite {suite} "
                     f"--limit {PROGRAM_LIMIT_S} {prefix}{shlex.quote(str(path))}")
    return "\n".join(lines) + "\n"


def bad_skips(results, short):
    """Sentences about tests that should not have been skipped: of the short list any, since its kernel has
    all that they need; of the full one all of a program's, which then has shown nothing."""
    bad = []
    for result in results:
        skipped = [test for test in result["tests"] if test["outcome"] == "skipped"]
        if short:
            bad += [f"{result['name']} {test['name']} was skipped, though this kernel has all that the short "
                    f"list needs: {test['text']}" for test in skipped]
        elif skipped and len(skipped) == len(result["tests"]):
            bad.append(f"every test of {result['name']} was skipped: {skipped[0]['text']}")
    return bad


def judged(name, complaint):
    """A test in the form of tools/test_summary.py, failed when there is something to complain of."""
    return {"name": name, "outcome": "failed" if complaint else "passed", "text": complaint}


def with_traceback(error):
    return f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error)).strip()}"


def never_run(results, names):
    """What was skipped under each of the kernels; or ''. What a run shows of one that it skips, another must run."""
    skipped_by = {}
    for name in names:
        for path in results.glob(f"vm-{name}.*.json"):
            result = json.loads(path.read_text())
            for test in result["tests"]:
                skipped_by.setdefault((result["name"], test["name"]), []).append(test["outcome"] == "skipped")
    return "\n".join(f"no kernel ran {program} {test}" for (program, test), skips in sorted(skipped_by.items())
                     if all(skips))


class Run:
    """What became of one kernel's tests."""

    def __init__(self, name, short):
        self.name, self.short = name, short
        self.suite = f"vm-{name}"
        self.began = time.monotonic()
        self.kernel = None
        self.tests = []  # as chosen_tests gives them
        self.problems = []
        self.skips = []

    def add_problem(self, error):
        """Whatever it is, it counts as a failure that names the kernel."""
        expected = isinstance(error, (kernels.KernelError, image.ImageError, machine.MachineError))
        text = str(error) if expected else with_traceback(error)
        named = re.match(rf"kernel {re.escape(self.name)}[ :]", text)
        self.problems.append(f"{'' if named else f'kernel {self.name}: '}{text}")

    def collect(self, share):
        """Moves results to those of the other suites, but for what was cut off, which is a problem."""
        brought, cut_off = {}, []
        for path in sorted((share / "results").glob("*")):
            try:
                brought[path.name] = json.loads(path.read_text()) if path.suffix == ".json" else None
                if path.suffix == ".xml":
                    ElementTree.parse(path)
            except (ValueError, ElementTree.ParseError):
                cut_off.append(path.name)
                continue
            shutil.copy(path, test_summary.RESULTS / path.name)
        if (share / "console.log").exists():
            shutil.copy(share / "console.log", test_summary.RESULTS / f"{self.suite}.console.log")
        lost = [path.name for path, _ in self.tests if f"{self.suite}.{path.name}.json" not in brought]
        missing = [f"{what}: {', '.join(names)}"
                   for what, names in (("without result", lost), ("cut off", cut_off)) if names]
        if missing and not self.problems:
            self.problems.append(f"kernel {self.name}: the machine ended without a whole result of every program; "
                                 f"the console's last lines:\n{machine.console_tail(share / 'console.log')}")
        self.problems += missing
        self.skips = bad_skips([result for result in brought.values() if result], self.short)

    def keep(self):
        version = self.kernel.version if self.kernel else ""
        note = self.kernel.note if self.kernel else ""
        told = f"Linux {version}" + (f"; {note}" if note else "")
        tests = [{"name": "boots, runs every program and ends",
                  "outcome": "failed" if self.problems else "passed",
                  "text": "\n".join(self.problems + ([note] if note else [])) if self.problems else told,
                  "properties": {"kernel.version": version, "kernel.note": note}}]
        if self.kernel:
            tests.append({"name": "skips nothing that it should show",
                          "outcome": "failed" if self.skips else "passed",
                          "text": f"kernel {self.name}: " + "\n".join(self.skips) if self.skips else ""})
        test_summary.keep(self.suite, MACHINE, tests, time.monotonic() - self.began)


def test_kernel(name, build, short, deadline, only=(), on_line=tell):
    """Runs the list under the kernel of that name and keeps the results, of which the machine's own is
    always one. The deadline is for everything, the download included. on_line(line) is told what the
    guest says."""
    run = Run(name, short)
    try:
        with shared_folder() as share:
            try:
                run.kernel = kernels.fetch(name, log, deadline)
                if run.kernel.note:
                    log(f"kernel {name}: {run.kernel.note}")
                log(f"kernel {name}: booting {run.kernel.version}")
                run.tests = chosen_tests(build, short, only)
                boot(run.kernel, [path for path, _ in run.tests] + our_programs(build),
                     job_of(run.suite, run.tests), deadline, on_line, share)
            except Exception as error:  # pylint: disable=broad-except
                run.add_problem(error)
            run.collect(share)
    except Exception as error:  # pylint: disable=broad-except
        run.add_problem(error)
    run.keep()
