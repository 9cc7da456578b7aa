"""docs/kernels.md: what each kernel can do, as the last runs of the matrix found it."""
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import kernels

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "kernels.md"
BEGIN, END = "<!-- table: tests/vm/vm.py table -->", "<!-- end of table -->"

# A row of the table: what stands in the first column, and the property or the tests that tell what to
# write in the others. A test's property is empty when the kernel does it natively, else a sentence.
FEATURE_ROWS = (
    ("programs on packets without a qdisc (TCX)", "feature.tcx"),
    ("types of the running kernel (BTF)", "feature.btf"),
    ("BPF ring buffer", "feature.ringbuf"),
    ("TAP devices for the delay lane", "feature.tun"),
    ("fq, for delays inside the kernel", "feature.fq"),
    ("BPF LSM, for errors of files", "feature.bpf_lsm"),
    ("the kernel's reasons for drops", "feature.drop_reasons"),
    ("UDP trains that the network card cuts (USO)", "way.udp_segments"),
    ("UDP for a cgroup on its way in", "feature.udp_cgroup_in"),
)
# What proves a kind of fault: a kind whose capabilities a kernel has is not yet one that works there.
KIND_TESTS = {
    "NETWORK_LATENCY": (("latency_test", r"EveryWay\."), ("lane_test", r"")),
    "NETWORK_LOSS": (("loss_test", r""),),
    "NETWORK_DUPLICATE": (("change_test", r"ComesTwice|Duplicates|Heals"),),
    "NETWORK_CORRUPT": (("change_test", r"Corrupt|Checksum|Heals"),),
    "NETWORK_REORDER": (("change_test", r"Overtaken|LateSegments|Heals"),),
    "NETWORK_BANDWIDTH": (("bandwidth_test", r""),),
    "NETWORK_BLACKHOLE": (("partition_test", r"Blackhole|LeavesNothing"),),
    "NETWORK_PARTITION": (("partition_test", r"Group|Parted|Forward|LeavesNothing"),),
    "TCP_RESET": (("reset_test", r""),),
    "CONNECT_FAIL": (("connect_test", r""),),
    "DNS_FAULT": (("dns_test", r""),),
    "HTTP_FAULT": (("http_fault_test", r""),),
}
TEST_ROWS = (
    ("delay of TCP, UDP and ICMP, IPv4 and IPv6, each direction", "latency_test", r"EveryWay\."),
    ("delays on loopback", "loopback_test", r"EveryLocalWay\."),
    ("constant delays up to 500 ms wait in the kernel (fq)", "fq_test", r"FqTest\."),
    ("jitter that keeps a flow's order", "lane_test", r"Jitter"),
    ("large TCP segments pass the lane whole", "lane_test", r"BulkTcp"),
    ("VLAN-tagged packets keep their tag", "lane_test", r"Vlan"),
    ("a full lane drops and counts", "lane_test", r"FullLane"),
    ("filters by port, address and protocol; fragments", "loss_test", r"Filter|OnlyTheTargets|Fragments"),
    ("10,000 frames of odd shapes, sound and damaged", "fuzz_test", r""),
    ("filters by port range and excluded networks", "filter_test", r"PortRange|Excluded"),
    ("filters by TCP flags, DSCP and size", "filter_test", r"TcpFlags|Dscp|Sizes"),
    ("filters by the first bytes of a payload", "filter_test", r"Payload|Preface"),
    ("seeded shares of packets, flows and peers", "filter_test", r"AShareOf"),
    ("filters by host name", "filter_test", r"Hosts"),
    ("SSH, neighbours, gateway, metadata and Faultline itself are protected", "protection_test", r""),
    ("targets that are cgroups, what they send", "cgroup_test", r"OnlyWhatTheCgroup"),
    ("targets that are cgroups, what they receive", "cgroup_test", r"OnlyWhatIsFor|OnTheWayIn"),
    ("targets seen from the host's end of their veth pair", "host_end_test", r""),
    ("several faults on one packet, every pair of kinds", "stack_test", r""),
    ("the same with resets, refusals and false answers", "stack_answer_test", r""),
    ("request-to-response times", "measure_test", r""),
    ("times of TCP handshakes", "observe_test", r"Handshake|SentAgain"),
    ("refused and reset connections, by who did it", "observe_test", r"Refused|Reset"),
    ("what TCP sends again, as the kernel counts it; smoothed round trips", "socket_test", r""),
    ("drops by the kernel's reason", "drops_test", r""),
    ("rare events, one by one", "events_test", r""),
    ("classes of HTTP/1 answers", "answers_test", r""),
    ("leases and deadlines end faults", "loss_test", r"Without|Deadline"),
    ("a killed driver leaves nothing behind", "kill_test", r""),
    ("an agent that is killed, stopped or cut off heals", "agent_e2e_test", r"AgentHeal\."),
    ("filters of a process that was killed are removed", "lifecycle_test", r"ClsactTest\.TheUndo"),
    ("other people's clsact qdiscs and filters stay", "lifecycle_test", r"OtherPeople|Somebody"),
    ("interfaces, namespaces and lanes that go and come back", "hostile_test", r""),
    ("services that are started anew, move and are renamed", "follow_test", r""),
)


def properties_of(results, suite):
    """Of every program's tests; None when kernel_test has left none."""
    if not (results / f"{suite}.kernel_test.xml").exists():
        return None
    found = {}
    for path in sorted(results.glob(f"{suite}.*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            found.update({p.get("name"): p.get("value") for p in case.iter("property")})
    return found


def verdict_of_property(text):
    if text is None:
        return "not run"
    if not text:
        return "native"
    # The probe's own words for what has a way around it.
    return f"{'fallback' if is_fallback(text) else 'refused'}: {text}"


def is_fallback(text):
    return "used instead" in text or "is cut before" in text


def verdict_of_tests(results, suite, program, pattern):
    path = results / f"{suite}.{program}.json"
    if not path.exists():
        return "not run"
    tests = [t for t in json.loads(path.read_text())["tests"] if re.search(pattern, t["name"])]
    skipped = [t["text"] for t in tests if t["outcome"] == "skipped"]
    if not tests or any(t["outcome"] == "failed" for t in tests):
        return "fails"
    if len(skipped) == len(tests):
        return f"refused: {skipped[0]}"
    return "native" if not skipped else f"native; in part refused: {skipped[0]}"


def verdict_of_kind(results, suite, kind, refused):
    if refused:
        return verdict_of_property(refused)
    if kind not in KIND_TESTS:
        return "native, by the probe alone: tests/vm/table.py names no test"
    verdicts = [verdict_of_tests(results, suite, *tests) for tests in KIND_TESTS[kind]]
    return next((verdict for verdict in verdicts if verdict != "native"), "native")


def column(results, suite):
    """{row: text} of one kernel; None when it was not run as a whole."""
    properties = properties_of(results, suite)
    if properties is None or not (results / f"{suite}.latency_test.json").exists():
        return None
    cells = {row: verdict_of_property(properties.get(name)) for row, name in FEATURE_ROWS}
    for name, value in sorted(properties.items()):
        if name.startswith("kind."):
            kind = name.removeprefix("kind.")
            cells[f"`{kind}`"] = verdict_of_kind(results, suite, kind, value)
    for row, *source in TEST_ROWS:
        cells[row] = verdict_of_property(properties.get(*source)) if len(source) == 1 else \
            verdict_of_tests(results, suite, *source)
    return cells


def read_document():
    """({kernel: {row: text}}, text before the table, text after it)."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in inside.strip().splitlines() if line.startswith("|")]
    columns = {}
    if lines:
        for number, kernel in enumerate(lines[0][1:], 1):
            columns[kernel] = {line[0]: line[number] for line in lines[2:]}
    return columns, before, after


def render(columns):
    listed = kernels.read_list()[0]
    names = [name for name in listed if name in columns]
    rows = list(dict.fromkeys(row for name in names for row in columns[name]))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(columns[n].get(row, "not run") for n in names) + " |")
    return "\n".join(lines)


def run_columns(results):
    found = {name: column(results, f"vm-{name}") for name in kernels.read_list()[0]}
    return {name: cells for name, cells in found.items() if cells is not None}


def update(results):
    """Puts what the kernels that were run have shown into the document. '' when it said so already;
    else a complaint: it has changed, or a kernel's run is not fit to be told."""
    fresh = run_columns(results)
    if not fresh:
        return f"no kernel was run as a whole: {results} holds no results of scripts/test.sh --vm"
    for name, cells in fresh.items():
        unfit = [f"{row}: {cell}" for row, cell in cells.items() if cell in ("fails", "not run")]
        if unfit:
            return f"kernel {name} is not written into docs/kernels.md ({'; '.join(unfit)})"
    columns, before, after = read_document()
    columns.update(fresh)
    text = f"{before}{BEGIN}\n\n{render(columns)}\n\n{END}{after}"
    if text == DOCUMENT.read_text():
        return ""
    DOCUMENT.write_text(text)
    return "docs/kernels.md said something else than the kernels did; it is rewritten, look and commit"
