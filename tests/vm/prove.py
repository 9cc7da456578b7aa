"""Proof that a run which goes wrong is counted: machines that panic, hang or end early, and hosts that lack
something, each through test_kernel as any run, with results of its own that nobody else sees."""
import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile
import traceback
from unittest import mock

import benches
import kernels
import machine
import matrix
from matrix import test_summary

# What scripts/test.sh leaves for all of this.
LIMIT_S = 150
ONLY = ("netns/kernel_test",)
HANGS = "prove: hangs from here on"


@dataclasses.dataclass
class Outcome:
    """What a run has left."""
    results: dict  # {name: tests}
    console: str

    def text(self):
        """What is told of the machine when it counts as failed, else ''."""
        first = self.results.get(matrix.MACHINE, [{"outcome": "missing"}])[0]
        return first["text"] if first["outcome"] == "failed" else ""


def job(suite, end):
    """A job that brings one result before it comes to its end. Nothing runs kernel_test."""
    return ("export FAULTLINE_TEST_RESULTS=/share/results\n"
            f"python3 /tools/test_summary.py check --suite {suite} --name before -- true\n{end}\n")


def outcome_of(build, name, deadline, end="", patches=()):
    def end_of_a_hang(line):
        # How long a boot takes is the host's affair: the machine has time until it hangs.
        if line == HANGS:
            deadline.shorten(2)

    with contextlib.ExitStack() as stack:
        results = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for patch in (mock.patch.object(test_summary, "RESULTS", results),
                      mock.patch.object(matrix, "job_of", lambda suite, _: job(suite, end)),
                      mock.patch.object(matrix, "our_programs", lambda _: []),
                      contextlib.redirect_stdout(io.StringIO()), *patches):
            stack.enter_context(patch)
        matrix.test_kernel(name, build, True, deadline, ONLY, end_of_a_hang)
        kept = [json.loads(path.read_text()) for path in results.glob("*.json")]
        console = results / f"vm-{name}.console.log"
        return Outcome({result["name"]: result["tests"] for result in kept},
                       console.read_text(errors="replace") if console.exists() else "")


def complaint_about(outcome, name, words, booted):
    """What is wrong with an outcome, or ''."""
    text = outcome.text()
    lacking = [word for word in (f"kernel {name}", *words) if word not in text]
    if lacking:
        return f"'{lacking[0]}' is not in: {text or outcome.results}"
    if not booted:
        return ""
    if "\n  | " not in text:
        return f"no line of the console is in: {text}"
    if "without result: kernel_test" not in text:
        return f"the program without result is not named in: {text}"
    if "guest: up" not in outcome.console:
        return f"it never came up: {text}"
    if [test["outcome"] for test in outcome.results.get("before", [])] != ["passed"]:
        return f"the result from before is lost; there are: {outcome.results}"
    return ""


def cases(kernel, scratch):
    """(sentence, what the job ends with or None for a machine that never comes up, words of the failure,
    patches). The kernel is fetched once."""
    garbage = scratch / "vmlinuz"
    garbage.write_bytes(bytes(range(256)) * 4096)
    broken = dataclasses.replace(kernel, image=garbage)
    fetched = mock.patch.object(kernels, "fetch", lambda *_: kernel)
    return (
        ("a machine that panics", "echo c >/proc/sysrq-trigger", ["panicked: "], (fetched,)),
        ("a machine that hangs", f"echo '{HANGS}'; sleep 100000", ["not finished after "],
         (fetched,)),
        ("a machine that ends early", "poweroff -f", ["ended before its job was done"], (fetched,)),
        ("a kernel that is garbage", None, ["ended before its job was done; qemu says"],
         (mock.patch.object(kernels, "fetch", lambda *_: broken),)),
        ("a host without qemu", None, ["is missing"],
         (fetched, mock.patch.object(machine, "QEMU", "qemu-of-a-host-that-has-none"))),
        ("an APT that offers no kernel", None, ["offers none of"],
         (mock.patch.object(kernels, "CACHE", scratch / "cache"),
          mock.patch.object(kernels.Tools, "output_of", lambda *_: ""),
          mock.patch.object(kernels, "ask_apt", lambda *_: ""))),
    )


def complaint_about_a_benchmark(name, kernel, scratch, deadline):
    """What is wrong with how a benchmark's machine ends that panics, or ''."""
    program = scratch / "bench" / "panics"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '{\"a\": \"figure\"}'\necho complains >&2\necho c >/proc/sysrq-trigger\n")
    program.chmod(0o755)
    figures, complaints = io.StringIO(), io.StringIO()
    try:
        with mock.patch.object(kernels, "fetch", lambda *_: kernel), \
                mock.patch.object(benches, "log", lambda _: None), contextlib.redirect_stdout(figures), \
                contextlib.redirect_stderr(complaints):
            benches.run(name, scratch, ["panics"], deadline)
    except machine.MachineError as error:
        lacking = [words for words, text in (("panicked: ", str(error)), (f"kernel {name}", str(error)),
                                             ("\n  | ", str(error)), ("bench panics", complaints.getvalue()),
                                             ("complains", complaints.getvalue()), ("figure", figures.getvalue()))
                   if words not in text]
        return f"'{lacking[0]}' is not in: {error}\n{complaints.getvalue()}{figures.getvalue()}" if lacking else ""
    return "nothing was raised"


def run(build, deadline):
    """One test for each case, in the form of tools/test_summary.py."""
    name = kernels.read_list()[1]
    tests = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            kernel = kernels.fetch(name, matrix.log, deadline)
        except Exception as error:  # pylint: disable=broad-except
            return [{"name": f"gets kernel {name}", "outcome": "failed", "text": str(error)}]
        for sentence, end, words, patches in cases(kernel, pathlib.Path(scratch)):
            seconds = deadline.left()
            try:
                if not seconds:
                    raise TimeoutError("no time was left for it")
                outcome = outcome_of(build, name, deadline.part(seconds), end or "", patches)
                complaint = complaint_about(outcome, name, words, end is not None)
            except Exception:  # pylint: disable=broad-except
                complaint = traceback.format_exc()
            if complaint and not deadline.left():
                complaint += f"\n({seconds:.0f} s were left for it when it began)"
            tests.append(matrix.judged(f"{sentence} is a failure that says so", complaint))
        try:
            complaint = complaint_about_a_benchmark(name, kernel, pathlib.Path(scratch), deadline.part(deadline.left()))
        except Exception:  # pylint: disable=broad-except
            complaint = traceback.format_exc()
        tests.append(matrix.judged("a benchmark whose machine panics is a failure that says so", complaint))
    return tests
