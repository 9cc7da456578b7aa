#!/usr/bin/env python3
"""Runs test programs and checks one at a time, keeps each one's result as a file, and adds them up.
Called by scripts/test.sh; results are kept in the folder $FAULTLINE_TEST_RESULTS.

  test_summary.py run --suite NAME --limit SECONDS [--prefix "COMMAND..."] PROGRAM...
      Runs GoogleTest programs, each in a process group of its own that is ended after it. One that
      crashes, runs out of time or runs no test counts as a failure; so does an empty list.
  test_summary.py check --suite NAME --name TEXT [--limit SECONDS] -- COMMAND...
      One command as one test: it passes when the command exits with 0. Exits with 1 when it fails.
      With --report FILE the command is another test runner, which writes JUnit's XML there: its
      tests are counted one by one.
  test_summary.py skip --suite NAME --name TEXT --reason TEXT
      What cannot be run here, as one skipped test.
  test_summary.py report
      Lists failures and skips with their reasons, and what passed tests have to say; the last line is
      "N passed, N failed, N skipped".
      Exits with 1 when anything failed.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

START = float(os.environ.get("START_SECONDS", time.time()))
RESULTS = pathlib.Path(os.environ.get("FAULTLINE_TEST_RESULTS", "build/test-results"))
OUTPUT_TAIL_LINES = 60


def say(text):
    elapsed = int(time.time() - START)
    print(f"[{elapsed // 60:02d}:{elapsed % 60:02d}] {text}", flush=True)


def end_group(process, grace_s):
    """Ends whatever is left of the process's own group: asks, waits, then kills."""
    deadline = time.monotonic() + grace_s
    try:
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run_process(command, limit_s, log_path):
    """Returns (what went wrong or "", output). The whole output stays in log_path."""
    with open(log_path, "wb") as log:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            return f"could not be started: {error.strerror}", ""
        problem = ""
        try:
            code = process.wait(timeout=limit_s)
            if code < 0:
                problem = f"crashed: {signal.Signals(-code).name}"
            elif code > 0:
                problem = f"exit code {code}"
        except subprocess.TimeoutExpired:
            problem = f"not finished after {limit_s:g} s"
        end_group(process, grace_s=5.0)
    return problem, pathlib.Path(log_path).read_text(errors="replace")


def tail(output):
    return "\n".join(output.rstrip().splitlines()[-OUTPUT_TAIL_LINES:])


def tests_of_report(xml_path):
    """Test cases of an XML report by GoogleTest (XML, since GoogleTest 1.12's JSON lacks the reasons
    of skips) or in JUnit's form."""
    tests = []
    for case in ElementTree.parse(xml_path).getroot().iter("testcase"):
        if case.get("status") == "notrun":
            continue
        name = f"{case.get('classname')}.{case.get('name')}"
        failures = [f.get("message", "") for f in case.findall("failure")]
        skipped = case.find("skipped")
        if failures:
            tests.append({"name": name, "outcome": "failed", "text": "\n".join(failures)})
        elif skipped is not None or case.get("result") == "skipped":
            reason = "" if skipped is None else skipped.get("message", skipped.text or "")
            reason = re.sub(r"^\S+:\d+\s*", "", reason.strip())
            tests.append({"name": name, "outcome": "skipped", "text": " ".join(reason.split())})
        else:
            tests.append({"name": name, "outcome": "passed", "text": ""})
    return tests


def tests_of_output(output):
    """What a program without a report (it crashed) had finished, from what it printed."""
    outcomes = {"      OK ": "passed", " FAILED  ": "failed", " SKIPPED ": "skipped"}
    tests = []
    for mark, name in re.findall(r"^\[([ A-Z]{9,10})\] (\S+) \(\d+ ms\)$", output, re.M):
        outcome = outcomes.get(mark if mark in outcomes else mark[1:])
        if outcome:
            tests.append({"name": name, "outcome": outcome, "text": ""})
    return tests


def run_program(suite, program, limit_s, prefix):
    name = os.path.basename(program)
    xml_path = RESULTS / f"{suite}.{name}.xml"
    log_path = RESULTS / f"{suite}.{name}.log"
    command = prefix + [os.path.abspath(program), f"--gtest_output=xml:{xml_path}",
                        "--gtest_color=no"]
    problem, output = run_process(command, limit_s, log_path)
    try:
        tests = tests_of_report(xml_path)
    except (OSError, ElementTree.ParseError):
        tests = tests_of_output(output)
        problem = problem or "wrote no report"
    if not problem and not tests:
        problem = "ran no test"
    failed = any(t["outcome"] == "failed" for t in tests)
    if problem and not (failed and problem == "exit code 1"):
        begun = re.findall(r"^\[ RUN      \] (\S+)$", output, re.M)
        inside = f" in {begun[-1]}" if begun and begun[-1] not in {t["name"] for t in tests} else ""
        tests.append({"name": "(the program)", "outcome": "failed",
                      "text": f"{problem}{inside}; whole output: {log_path}\n{tail(output)}"})
    return tests


def count(tests):
    outcomes = [t["outcome"] for t in tests]
    return {o: outcomes.count(o) for o in ("passed", "failed", "skipped")}


def in_words(counts):
    return ", ".join(f"{n} {o}" for o, n in counts.items() if n) or "no test"


def keep(suite, name, tests, seconds):
    for test in tests:
        if test["outcome"] == "failed":
            print(f"  FAILED {suite}/{name} {test['name']}\n{test['text']}", flush=True)
    say(f"{suite}/{name}: {in_words(count(tests))} ({seconds:.1f} s)")
    RESULTS.mkdir(parents=True, exist_ok=True)
    file_name = re.sub(r"[^\w.-]+", "_", f"{suite}.{name}")
    with open(RESULTS / f"{file_name}.json", "w") as file:
        json.dump({"suite": suite, "name": name, "seconds": seconds, "tests": tests}, file)


def command_run(arguments):
    if not arguments.programs:
        keep(arguments.suite, "(none)", [{"name": "", "outcome": "failed",
                                         "text": "there is no test program"}], 0.0)
    for program in arguments.programs:
        began = time.monotonic()
        tests = run_program(arguments.suite, program, arguments.limit, arguments.prefix.split())
        keep(arguments.suite, os.path.basename(program), tests, time.monotonic() - began)
    return 0


def command_check(arguments):
    began = time.monotonic()
    log_path = RESULTS / re.sub(r"[^\w.-]+", "_", f"{arguments.suite}.{arguments.name}.log")
    if arguments.report:
        arguments.report.unlink(missing_ok=True)
    problem, output = run_process(arguments.command, arguments.limit, log_path)
    tests = tests_of_runner(arguments.report, problem) if arguments.report else []
    if problem and not any(t["outcome"] == "failed" for t in tests):
        tests.append({"name": "(the run)" if arguments.report else "", "outcome": "failed",
                      "text": f"{problem}\n{tail(output)}"})
    elif not tests:
        tests.append({"name": "", "outcome": "passed", "text": ""})
    keep(arguments.suite, arguments.name, tests, time.monotonic() - began)
    return 1 if any(t["outcome"] == "failed" for t in tests) else 0


def tests_of_runner(report, problem):
    try:
        tests = tests_of_report(report)
    except (OSError, ElementTree.ParseError):
        tests = []
    if not tests and not problem:
        tests.append({"name": "(the run)", "outcome": "failed", "text": "reported no test"})
    return tests


def command_skip(arguments):
    keep(arguments.suite, arguments.name,
         [{"name": "", "outcome": "skipped", "text": arguments.reason}], 0.0)
    return 0


def command_report(_):
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    lines = {"passed": [], "failed": [], "skipped": []}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        for test in result["tests"]:
            totals[test["outcome"]] += 1
            if test["outcome"] != "passed" or test["text"]:
                reason = test["text"].splitlines()[0] if test["text"] else "no reason given"
                lines[test["outcome"]].append(
                    f"  {result['suite']}/{result['name']} {test['name']}: {reason}")
    for outcome, entries in lines.items():
        if entries:
            print(f"{'noted' if outcome == 'passed' else outcome}:", *entries, sep="\n")
    if not sum(totals.values()):
        totals["failed"] = 1
        print("no test ran")
    sys.stderr.flush()
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals), flush=True)
    return 1 if totals["failed"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--suite", required=True)
    run.add_argument("--limit", type=float, required=True)
    run.add_argument("--prefix", default="")
    run.add_argument("programs", nargs="*")
    run.set_defaults(function=command_run)
    check = commands.add_parser("check")
    check.add_argument("--suite", required=True)
    check.add_argument("--name", required=True)
    check.add_argument("--limit", type=float, default=300.0)
    check.add_argument("--report", type=pathlib.Path)
    check.add_argument("command", nargs="+")
    check.set_defaults(function=command_check)
    skip = commands.add_parser("skip")
    for option in ("--suite", "--name", "--reason"):
        skip.add_argument(option, required=True)
    skip.set_defaults(function=command_skip)
    report = commands.add_parser("report")
    report.set_defaults(function=command_report)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    return arguments.function(arguments)


if __name__ == "__main__":
    sys.exit(main())
