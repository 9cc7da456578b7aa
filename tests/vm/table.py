"""docs/kernels.md: what each kernel can do, as the last runs of the matrix found it."""
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import kernels

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "kernels.md"
BEGIN, END = "<!-- table: tests/vm/vm.py table -->", "<!-- end of table -->"

# A row of the table: what stands in the first column, and the property of kernel_test or the tests
# that tell what to write in the others.
PROPERTY_ROWS = (
    ("programs on packets without a qdisc (TCX)", "feature.tcx"),
    ("types of the running kernel (BTF)", "feature.btf"),
    ("BPF ring buffer", "feature.ringbuf"),
    ("TAP devices for the delay lane", "feature.tun"),
    ("fq, for delays inside the kernel", "feature.fq"),
    ("BPF LSM, for errors of files", "feature.bpf_lsm"),
    ("UDP trains that the network card cuts (USO)", "way.udp_segments"),
)
TEST_ROWS = (
    ("delay of TCP, UDP and ICMP, IPv4 and IPv6, each direction", "latency_test", r"EveryWay\."),
    ("loss, filters by port, address and protocol", "loss_test", r""),
    ("large TCP segments pass the lane whole", "lane_test", r"BulkTcp"),
    ("jitter that keeps a flow's order", "lane_test", r"Jitter"),
    ("VLAN-tagged packets keep their tag", "lane_test", r"Vlan"),
    ("delays on loopback", "loopback_test", r"EveryLocalWay\."),
    ("targets that are cgroups, what they send", "cgroup_test", r"OnlyWhatTheCgroup"),
    ("request-to-response times", "measure_test", r""),
    ("a killed driver leaves nothing behind", "kill_test", r""),
    ("filters of a process that was killed are removed", "lifecycle_test", r"."),
)


def properties_of(results, suite):
    path = results / f"{suite}.kernel_test.xml"
    if not path.exists():
        return None
    found = {}
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


def column(results, suite):
    """{row: text} of one kernel; None when it was not run as a whole."""
    properties = properties_of(results, suite)
    if properties is None or not (results / f"{suite}.latency_test.json").exists():
        return None
    cells = {row: verdict_of_property(properties.get(name)) for row, name in PROPERTY_ROWS}
    for name, value in sorted(properties.items()):
        if name.startswith("kind."):
            cells[f"`{name.removeprefix('kind.')}`"] = verdict_of_property(value)
    for row, program, pattern in TEST_ROWS:
        cells[row] = verdict_of_tests(results, suite, program, pattern)
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


def write(results):
    """Puts the results of the kernels that were run into the document; a complaint or ''."""
    fresh = run_columns(results)
    if not fresh:
        return f"no kernel was run as a whole: {results} holds no results of scripts/test.sh --vm"
    columns, before, after = read_document()
    columns.update(fresh)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{render(columns)}\n\n{END}{after}")
    return ""


def check(results):
    """'' when the document says of the kernels that were run what their results say."""
    columns, _, _ = read_document()
    for name, cells in run_columns(results).items():
        if columns.get(name) != cells:
            different = [row for row in cells if columns.get(name, {}).get(row) != cells[row]]
            return (f"docs/kernels.md is not what kernel {name} showed (first: "
                    f"{(different or ['a row too many'])[0]}); write it with "
                    "'python3 tests/vm/vm.py table'")
    return ""
