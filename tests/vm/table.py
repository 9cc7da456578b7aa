"""docs/kernels.md: what each kernel can do, as the last runs of the matrix found it."""
import dataclasses
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import kernels

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "kernels.md"
BEGIN, END = "<!-- table: tests/vm/vm.py table -->", "<!-- end of table -->"

# A row of the table: what stands in the first column, and the property or the tests that tell what to
# write in the others. A test's property is empty when the kernel does it natively, else a sentence.
FEATURE_ROWS = (
    ("BPF programs on packets", "feature.tc"),
    ("programs on packets without a qdisc (TCX)", "feature.tcx"),
    ("types of the running kernel (BTF)", "feature.btf"),
    ("BPF ring buffer", "feature.ringbuf"),
    ("TAP devices for the delay lane", "feature.tun"),
    ("fq, for delays inside the kernel", "feature.fq"),
    ("BPF LSM (no kind of fault uses it yet)", "feature.bpf_lsm"),
    ("the kernel's reasons for drops", "feature.drop_reasons"),
    ("the socket that a dropped packet was for", "feature.drop_sockets"),
    ("UDP trains that the network card cuts (USO)", "way.udp_segments"),
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
    ("packets with two VLAN tags are faulted and keep both", "qinq_test", r""),
    ("a full lane drops and counts", "lane_test", r"FullLane"),
    ("losses as TCP's own sockets count them", "tcp_loss_test", r""),
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
    ("what the lane holds goes out when a lease runs out", "held_test", r""),
    ("a killed driver leaves nothing behind", "kill_test", r""),
    ("an agent that is killed, stopped or cut off heals", "agent_e2e_test", r"AgentHeal\."),
    ("filters of a process that was killed are removed", "lifecycle_test", r"ClsactTest\.TheUndo"),
    ("other people's clsact qdiscs and filters stay", "lifecycle_test", r"OtherPeople|Somebody"),
    ("other people's programs see what they saw, and hide nothing", "others_test", r""),
    ("interfaces, namespaces and lanes that go and come back", "hostile_test", r""),
    ("services that are started anew, move and are renamed", "follow_test", r""),
)


# What a kind of which no row of KIND_TESTS knows gets: it is never written.
UNPROVEN = "not run: tests/vm/table.py names no test of it"
# The worst of several verdicts speaks for all.
WORST_FIRST = ("fails", "not run", "refused", "native; in part", "fallback", "native")


@dataclasses.dataclass
class Column:
    """What one kernel showed."""
    heading: str  # its name, and the version that was run
    cells: dict  # {row: text}


def results_of(results, suite):
    """{program: its tests}; the machine's own result is among them."""
    kept = [json.loads(path.read_text()) for path in sorted(results.glob(f"{suite}.*.json"))]
    return {result["name"]: result["tests"] for result in kept}


def properties_of(results, suite, programs):
    """Of every program's tests."""
    found = {}
    for program in programs:
        path = results / f"{suite}.{program}.xml"
        if path.exists():
            for case in ElementTree.parse(path).getroot().iter("testcase"):
                found.update({p.get("name"): p.get("value") for p in case.iter("property")})
    return found


def version_of(programs):
    properties = [test.get("properties", {}) for test in programs.get("(the machine)", [])]
    return next((each["kernel.version"] for each in properties if each.get("kernel.version")), "")


def fallbacks_of(properties):
    """The sentences of the probe that tell of what has a way around it: the property fallback.X says so of
    feature.X or way.X."""
    return {text for key, text in properties.items() for kind, _, what in [key.partition(".")]
            if kind in ("feature", "way") and properties.get(f"fallback.{what}")}


def verdict_of_property(text, fallbacks):
    if text is None:
        return "not run"
    if not text:
        return "native"
    return f"{'fallback' if text in fallbacks else 'refused'}: {text}"


def verdict_of_tests(programs, program, pattern, fallbacks):
    """Of the program's tests that the pattern finds. Of a program that crashed nothing can be told."""
    if program not in programs:
        return "not run"
    crashed = any(t["name"] == "(the program)" for t in programs[program])
    tests = [t for t in programs[program] if re.search(pattern, t["name"])]
    if crashed or not tests or any(t["outcome"] == "failed" for t in tests):
        return "fails"
    reasons = [t["text"] for t in tests if t["outcome"] == "skipped"]
    if not reasons:
        return "native"
    refused = [reason for reason in reasons if reason not in fallbacks]
    if len(reasons) == len(tests):
        return verdict_of_property((refused or reasons)[0], fallbacks)
    return f"native; in part refused: {refused[0]}" if refused else f"fallback: {reasons[0]}"


def verdict_of_kind(programs, kind, refused, fallbacks):
    if refused is None:
        return "not run"
    if kind not in KIND_TESTS:
        return UNPROVEN
    if refused:
        return verdict_of_property(refused, fallbacks)
    verdicts = [verdict_of_tests(programs, *tests, fallbacks) for tests in KIND_TESTS[kind]]
    return min(verdicts, key=lambda verdict: next(place for place, start in enumerate(WORST_FIRST)
                                                  if verdict.startswith(start)))


def rows(kinds=()):
    """The first column; `kinds` beside those of which tests are known."""
    listed = sorted({*KIND_TESTS, *kinds})
    return [row for row, _ in FEATURE_ROWS] + [f"`{kind}`" for kind in listed] + \
        [row for row, *_ in TEST_ROWS]


def column(results, name):
    suite = f"vm-{name}"
    programs = results_of(results, suite)
    properties = properties_of(results, suite, programs)
    kinds = {key.removeprefix("kind.") for key in properties if key.startswith("kind.")}
    fallbacks = fallbacks_of(properties)
    cells = {row: verdict_of_property(properties.get(source), fallbacks) for row, source in FEATURE_ROWS}
    for kind in {*kinds, *KIND_TESTS}:
        cells[f"`{kind}`"] = verdict_of_kind(programs, kind, properties.get(f"kind.{kind}"), fallbacks)
    for row, *source in TEST_ROWS:
        cells[row] = verdict_of_tests(programs, *source, fallbacks)
    version = version_of(programs)
    return Column(f"{name} ({version})" if version else name, {row: cells[row] for row in rows(kinds)})


def unknown_features(results, name):
    """What the kernel was asked for and no row tells."""
    suite = f"vm-{name}"
    known = {source for _, source in FEATURE_ROWS}
    return sorted(key for key in properties_of(results, suite, results_of(results, suite))
                  if key.startswith(("feature.", "way.")) and key not in known)


def differs_from_document(results, name):
    """What the document says of a kernel's features and its last run found otherwise; or ''."""
    columns, _, _, _ = read_document()
    if name not in columns:
        return f"kernel {name} has no column in docs/kernels.md"
    found, told = column(results, name).cells, columns[name].cells
    return "\n".join(f"{row}: the document says '{told.get(row)}', the kernel '{found[row]}'"
                     for row, _ in FEATURE_ROWS if found[row] != told.get(row))


def read_document():
    """({kernel: Column}, its rows, text before the table, text after it)."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    inside, after = rest.split(END)
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in inside.strip().splitlines() if line.startswith("|")]
    columns = {}
    for number, heading in enumerate(lines[0][1:] if lines else (), 1):
        columns[heading.split(" ")[0]] = Column(heading, {line[0]: line[number] for line in lines[2:]})
    return columns, [line[0] for line in lines[2:]], before, after


def render(columns):
    shown = [columns[name] for name in kernels.read_list()[0] if name in columns]
    lines = ["| | " + " | ".join(each.heading for each in shown) + " |",
             "|---" * (len(shown) + 1) + "|"]
    for row in rows():
        lines.append(f"| {row} | " + " | ".join(each.cells.get(row, "not run") for each in shown) + " |")
    return "\n".join(lines)


def is_unfit(cell):
    return cell.startswith(("fails", "not run"))


def why_unfit(results, name, found):
    """What keeps a kernel's results from being told, or ''."""
    failed = [f"{program} {test['name']}" for program, tests in results_of(results, f"vm-{name}").items()
              for test in tests if test["outcome"] == "failed"]
    unfit = [f"{row}: {cell}" for row, cell in found.cells.items() if is_unfit(cell)]
    unfit += [f"tests/vm/table.py has no row of {key}" for key in unknown_features(results, name)]
    if failed:
        return f"failed: {'; '.join(failed)}"
    return "; ".join(unfit)


def update(results):
    """Puts what the kernels that were run have shown into the document, of all of them or of none. ''
    when it said so already; else a complaint: it has changed, or a kernel's run is not fit to be told."""
    ran = [name for name in kernels.read_list()[0] if any(results.glob(f"vm-{name}.*.json"))]
    if not ran:
        return f"no kernel was run: {results} holds no results of scripts/test.sh --vm"
    try:
        fresh = {name: column(results, name) for name in ran}
    except (ValueError, ElementTree.ParseError) as error:
        return f"docs/kernels.md is left alone: a result in {results} cannot be read: {error}"
    unfit = [f"kernel {name}: {why}" for name in ran if (why := why_unfit(results, name, fresh[name]))]
    if unfit:
        return "docs/kernels.md is left alone: " + "\n".join(unfit)
    columns, _, before, after = read_document()
    columns.update(fresh)
    text = f"{before}{BEGIN}\n\n{render(columns)}\n\n{END}{after}"
    if text == DOCUMENT.read_text():
        return ""
    DOCUMENT.write_text(text)
    return "docs/kernels.md said something else than the kernels did; it is rewritten, look and commit"


def kinds_of_the_source():
    texts = [path.read_text() for path in sorted(ROOT.glob("faults/*/v1/*.proto"))]
    return {kind for text in texts
            for kind in re.findall(r'\(chaos\.v1\.fault_kind\) = \{\s*name: "(\w+)"', text)}


def check():
    """What shows, without a run, that the document's table is stale; or ''."""
    columns, told, _, _ = read_document()
    unknown = sorted(kinds_of_the_source() ^ set(KIND_TESTS))
    wrong = [f"tests/vm/table.py and the faults' .proto files differ about {kind}" for kind in unknown]
    wrong += [f"the row '{row}' is missing" for row in rows() if row not in told]
    wrong += [f"the row '{row}' is not one of tests/vm/table.py's" for row in told if row not in rows()]
    if not wrong and told != rows():
        wrong.append("the rows are not in the order of tests/vm/table.py")
    wrong += [f"kernel {name} has no column" for name in kernels.read_list()[0] if name not in columns]
    wrong += [f"column {each.heading}: the version that was run is missing" for each in columns.values()
              if "(" not in each.heading]
    wrong += [f"column {each.heading}, row '{row}': {cell}" for each in columns.values()
              for row, cell in each.cells.items() if is_unfit(cell)]
    return "\n".join(["docs/kernels.md is stale; scripts/test.sh --vm writes its table", *wrong]) if wrong else ""
