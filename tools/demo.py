#!/usr/bin/env python3
"""The main job, end to end and for real: three controllers, one agent, redis in one network
namespace and its client in another. Called by scripts/demo.sh once everything is built.

usage: demo.py --bin DIR [--json FILE] [--keep]
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from demo_parts import (Ended, Failure, Load, MetricStream, Network, Processes, boottime_ns,
                        free_ports, heal_ms, ignore_ending_signals, kernel_percentile_ms,
                        patiently, percentile, print_table, raise_ended_on_signals, unix_ns,
                        unless_slow_at_last)

SELECTOR = "service:checkout,version:v1"
DELAY_MS = 100.0
PROBE_MS = 2
PHASE_SECONDS = 4.0
START = float(os.environ.get("START_SECONDS", time.time()))


def step(text):
    elapsed = int(time.time() - START)
    print(f"[{elapsed // 60:02d}:{elapsed % 60:02d}] {text}", file=sys.stderr, flush=True)


class Demo:
    def __init__(self, options):
        self.options = options
        self.directory = tempfile.mkdtemp(prefix="faultline-demo-")
        self.processes = Processes(self.directory)
        self.network = Network()
        self.figures = {}
        self.rows = []
        self.streams = []

    # --- setting up -------------------------------------------------------------------------

    def program(self, name):
        return os.path.join(self.options.bin, name)

    def start_controllers(self):
        ports = free_ports(6)
        api, peer = ports[:3], ports[3:]
        members = ",".join(f"{i + 1}=127.0.0.1:{peer[i]}" for i in range(3))
        self.addresses = [f"127.0.0.1:{port}" for port in api]
        self.cli = [self.program("faultline"), "--address", ",".join(self.addresses)]
        self.controllers = [
            self.processes.start(f"controller-{i + 1}", [
                self.program("faultline-controller"), "--id", str(i + 1),
                "--data-dir", os.path.join(self.directory, f"controller-{i + 1}"),
                "--api-listen", self.addresses[i], "--peer-listen", f"127.0.0.1:{peer[i]}",
                "--members", members]) for i in range(3)]

    def start_redis(self):
        for port in (6379, 6380):
            self.processes.start(f"redis-{port}", [
                "redis-server", "--bind", Network.SERVER, "--port", str(port), "--save", "",
                "--appendonly", "no", "--protected-mode", "no", "--dir", self.directory],
                self.network.server_ns)

    def start_agent(self):
        self.agent_config = os.path.join(self.directory, "agent.yaml")
        with open(self.agent_config, "w", encoding="ascii") as file:
            file.write("agent_id: demo-host\n"
                       f"controllers: [{', '.join(self.addresses)}]\n"
                       f"state_dir: {self.directory}/agent\n"
                       f"socket: {self.directory}/agent.sock\n"
                       "targets:\n"
                       "- name: checkout\n"
                       "  labels: {service: checkout, version: v1}\n"
                       "  interface: eth0\n"
                       f"  netns: {self.network.server_ns}\n"
                       "  ports: [6379]\n")
        self.agent = self.processes.start("agent", [
            self.program("faultline-agent"), "--config", self.agent_config, "run"])

    def call(self, *arguments):
        result = subprocess.run(self.cli + list(arguments) + ["--json"], capture_output=True,
                                text=True, timeout=60, check=False)
        if result.returncode != 0:
            raise Failure(f"'faultline {' '.join(arguments)}' failed: {result.stderr.strip()}")
        return json.loads(result.stdout)

    def wait_for_agent(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                agents = self.call("agents").get("agents", [])
                if any(agent.get("connected") for agent in agents):
                    return
            except Failure:
                pass
            time.sleep(0.1)
        raise Failure(f"the agent did not connect within 60 s; its log is {self.agent.log_path}")

    def leader(self):
        """The controller process that leads, found by its log of role changes."""
        newest = None
        for process in self.controllers:
            with open(process.log_path, encoding="utf-8", errors="replace") as log:
                for line in log:
                    if "now leader" in line and process.poll() is None:
                        stamp = line.split()[0]
                        if newest is None or stamp > newest[0]:
                            newest = (stamp, process)
        if newest is None:
            raise Failure("no controller says that it leads")
        return newest[1]

    # --- the job ----------------------------------------------------------------------------

    def add_row(self, name, begin_ns, end_ns, stream):
        own = self.load.latencies_ms(begin_ns, end_ns)
        updates = stream.between(begin_ns, end_ns)
        row = {
            "phase": name, "requests": len(own),
            "client_p50_ms": percentile(own, 50), "client_p99_ms": percentile(own, 99),
            "kernel_p50_ms": kernel_percentile_ms(updates, 50),
            "kernel_p99_ms": kernel_percentile_ms(updates, 99),
        }
        if not own or row["kernel_p99_ms"] is None:
            raise Failure(f"nothing was measured in phase '{name}'")
        self.rows.append(row)
        return row

    def measure(self, name, stream, seconds=PHASE_SECONDS):
        begin = boottime_ns()
        time.sleep(seconds)
        # On a busy machine longer, until something was told.
        patiently(lambda: kernel_percentile_ms(stream.between(begin, boottime_ns()), 50))
        end = boottime_ns()
        time.sleep(0.4)  # what is under way at the end arrives
        return self.add_row(name, begin, end, stream), begin, end

    def start_latency(self):
        answer = self.call("start", "NETWORK_LATENCY", "--target", SELECTOR, "--delay_ms",
                           str(DELAY_MS), "--duration", "5m", "--wait")
        return answer["experiment"]["experiment_id"], int(answer["sent_unix_ns"])

    def armed_unix_ns(self, experiment):
        """When the kernel began to hold the experiment's fault, as its agent says."""
        result = subprocess.run([self.program("faultline-agent"), "--config", self.agent_config,
                                 "status", "--json"], capture_output=True, text=True, check=True)
        return next(unix_ns(fault["armed_at"]) for fault in json.loads(result.stdout)["faults"]
                    if fault["experiment_id"] == experiment)

    def first_experiment(self):
        observe = MetricStream(self.cli, ["--target", SELECTOR])
        self.streams.append(observe)
        step("baseline: no fault")
        time.sleep(1.5)
        before, _, _ = self.measure("before", observe)
        step(f"NETWORK_LATENCY delay {DELAY_MS:g} ms on {SELECTOR}")
        experiment, sent_ns = self.start_latency()
        # From the CLI's sending, which begins with its connecting, to the kernel's holding the rule.
        self.figures["start_to_kernel_ms"] = round(
            (self.armed_unix_ns(experiment) - sent_ns) / 1e6, 3)
        live = MetricStream(self.cli, [experiment])
        self.streams.append(live)
        time.sleep(0.5)
        during, begin, end = self.measure("during", observe)
        self.figures["unmatched_p50_ms_during"] = round(
            percentile(self.unmatched.latencies_ms(begin, end), 50), 4)
        leader = self.leader()
        step(f"kill -9 of the leader ({leader.name}); the experiment goes on")
        leader.kill()
        leader.wait()
        time.sleep(0.3)
        self.measure("leader killed", observe)
        still = self.call("get", experiment)["experiment"]
        if still["status"] != "EXPERIMENT_STATUS_RUNNING":
            raise Failure(f"the experiment did not survive its leader: it is {still['status']}")
        self.figures["leader_kill_gap_ms"] = round(live.longest_gap_ms(), 1)
        step("stop")
        stopped = self.call("stop", experiment, "--wait")["experiments"][0]
        if stopped["status"] != "EXPERIMENT_STATUS_COMPLETED":
            raise Failure(f"the experiment did not complete: it is {stopped['status']}")
        live.close()
        time.sleep(1.0)
        after, _, _ = self.measure("after", observe)
        self.figures.update({
            "baseline_p50_ms": round(before["client_p50_ms"], 4),
            "injected_p50_ms": round(during["client_p50_ms"], 4),
            "added_delay_median_error_us": round(
                abs(during["client_p50_ms"] - before["client_p50_ms"] - DELAY_MS) * 1000, 1),
            "after_p50_ms": round(after["client_p50_ms"], 4),
        })

    def second_experiment(self):
        step("a second experiment, and kill -9 of the agent in its middle")
        self.probe = Load(self, "probe", "redis_probe.py", 6379, PROBE_MS)
        self.probe.wait_until_it_runs()
        self.start_latency()
        time.sleep(2.0)
        killed = boottime_ns()
        self.agent.kill()
        self.agent.wait()
        time.sleep(3.0)
        # A busy machine makes single requests slow at any time, and so the last one, too. But the lease of
        # 10 s must not be what healed it.
        requests = patiently(lambda: unless_slow_at_last(
            self.probe.requests(killed, boottime_ns() - 500_000_000), DELAY_MS / 2), 5)
        until = killed + 2_500_000_000
        self.figures["agent_kill_heal_ms"] = heal_ms(requests, killed, DELAY_MS / 2)
        # What was under way is lost with the agent, and sent again by TCP when it has waited enough.
        self.figures["agent_kill_longest_stall_ms"] = round(max(
            latency for _, latency in self.load.requests(killed - 500_000_000, until)), 1)
        left = subprocess.run(["ip", "-n", self.network.server_ns, "-br", "link"],
                              capture_output=True, text=True, check=True).stdout.split("\n")
        names = sorted(line.split("@")[0].split()[0] for line in left if line.strip())
        extra = [n for n in names if n not in ("lo", "eth0") and "@" not in n
                 and n.startswith("fl")]
        if extra:
            raise Failure(f"devices were left in the target's namespace: {extra}")

    def run(self):
        step("network namespaces, redis, three controllers, one agent")
        self.network.make()
        self.start_redis()
        self.start_controllers()
        self.start_agent()
        self.wait_for_agent()
        self.load = Load(self, "load", "redis_load.py", 6379, 8, 10)
        self.unmatched = Load(self, "unmatched", "redis_load.py", 6380, 2, 10)
        self.first_experiment()
        self.second_experiment()
        print_table(self.rows, self.figures)
        if self.options.json:
            with open(self.options.json, "w", encoding="ascii") as file:
                json.dump({**self.figures, "phases": self.rows}, file, indent=2)
                file.write("\n")

    kept = False

    def keep(self):
        self.start_agent()
        self.wait_for_agent()
        self.kept = True
        print("\nLeft running. Connect with:\n"
              f"  export FAULTLINE_ADDRESS={','.join(self.addresses)}\n"
              f"  {self.program('faultline')} list\n"
              f"  {self.program('faultline')} start NETWORK_LATENCY --target {SELECTOR} "
              "--delay_ms 100\n"
              f"Logs: {self.directory}. Ctrl-C here ends everything.", flush=True)
        signal.pause()

    def clean(self):
        ignore_ending_signals()
        for stream in self.streams:
            stream.close()
        self.processes.stop_all()
        # The guardian of the killed agent undoes what is left; it ends by itself.
        time.sleep(0.3)
        self.network.remove()
        if not self.failed:
            shutil.rmtree(self.directory, ignore_errors=True)

    failed = False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--json")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    demo = Demo(options)
    raise_ended_on_signals()
    try:
        demo.run()
        if options.keep:
            demo.keep()
    except Ended as ended:
        # What was kept was to be ended so; anything else was not done yet.
        if not demo.kept:
            return 128 + ended.number
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        demo.failed = True
        print(f"error: {failure} (logs: {demo.directory})", file=sys.stderr)
        return 1
    finally:
        demo.clean()
    step("done; nothing is left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main())
