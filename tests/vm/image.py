"""The guest's root file system, as an initramfs: programs, the libraries that they need, tools of
the host, and a kernel's modules. Nothing is mounted and no root is needed to make it."""
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Tools that tests and the guest's own start call, found in the host's PATH. Whatever else a shell
# needs is busybox's; but not the shell itself, which would prefer busybox's `ip` to the real one.
TOOLS = ("sh", "bash", "ip", "tc", "modprobe", "nstat", "ping", "ethtool", "iperf3", "redis-server", "redis-cli",
         "redis-benchmark", "curl", "dig", "dnsmasq", "openssl", "bpftool", "nft", "ss", "sysctl", "env",
         "timeout", "setarch", "ps", "pgrep", "grep")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# On Debian these are links into /usr; the guest has them too.
MERGED = ("bin", "sbin", "lib", "lib64")
FILES = ("/etc/protocols", "/etc/services", "/etc/iproute2", "/usr/share/iproute2",
         "/usr/lib/iproute2", "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules")
# What exercises every module that tools/test_summary.py and the servers of tests need, those imported
# late included.
PYTHON_NEEDS = """
import http.server, runpy, subprocess, sys, xml.etree.ElementTree
runpy.run_path(sys.argv[1], run_name="asked_for_its_modules")
xml.etree.ElementTree.fromstring("<a/>")
subprocess.run(["true"], capture_output=True, text=True)
"a".encode("idna"), "a".encode("latin-1"), "a".encode("ascii")
for module in list(sys.modules.values()):
    for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if path: print(path)
"""


class ImageError(Exception):
    """A sentence that says what is missing on this host, or what took too long."""


def in_guest(path):
    """A host's path as the guest has it, /bin and such resolved into /usr."""
    parts = pathlib.PurePosixPath(path).parts
    return "/" + "/".join(("usr", *parts[1:]) if parts[1] in MERGED else parts[1:])


def find_tool(name):
    return shutil.which(name, path=SYSTEM_PATH) or shutil.which(name)


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


class Image:
    """Files of the guest: path there -> (mode, content): bytes, or the path of a host's file. `scratch` is
    a folder for some of these, which stays until the image is written."""

    def __init__(self, deadline, scratch):
        self.deadline, self.scratch = deadline, scratch
        self.entries = {}
        self.elf = []

    def ask(self, *command):
        """Runs a program of the host; raises ImageError when it is not finished at the deadline."""
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=self.deadline.left())
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"{command[0]} was not finished when the run's time was over") from error

    def folder(self, path, mode=0o755):
        self.parents(path)
        self.entries.setdefault(path, (stat.S_IFDIR | mode, b""))

    def parents(self, path):
        for parent in reversed(list(pathlib.PurePosixPath(path).parents)[:-1]):
            self.entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))

    def link(self, path, to):
        self.parents(path)
        self.entries[path] = (stat.S_IFLNK | 0o777, to.encode())

    def text(self, path, content, mode=0o644):
        self.parents(path)
        self.entries[path] = (stat.S_IFREG | mode, content.encode())

    def file(self, source, path=None):
        """A host's file; a program's libraries come with it (when the image is written)."""
        path = path or in_guest(source)
        if path in self.entries:
            return
        self.parents(path)
        self.entries[path] = (stat.S_IFREG | (os.stat(source).st_mode & 0o777), str(source))
        if is_elf(source):
            self.elf.append(str(source))

    def tree(self, source, into=None):
        if os.path.isfile(source):
            self.file(source, into)
        for base, _, names in os.walk(source):
            for name in names:
                path = os.path.join(base, name)
                relative = os.path.relpath(path, source)
                if os.path.isfile(path):
                    self.file(path, os.path.join(into, relative) if into else None)

    def program(self, source):
        """One of ours, at the very path that it has on the host, without its debug sections."""
        stripped = os.path.join(self.scratch, str(source).strip("/").replace("/", "_"))
        done = self.ask("strip", "-o", stripped, source)
        self.parents(str(source))
        self.entries[str(source)] = (stat.S_IFREG | 0o755,
                                     stripped if done.returncode == 0 else str(source))
        self.elf.append(str(source))

    def add_libraries(self):
        if not self.elf:
            return
        told = self.ask("ldd", *self.elf)
        missing = re.findall(r"^\s*(\S+) => not found", told.stdout, re.M)
        if missing:
            raise ImageError(f"a library is missing on this host: {missing[0]}")
        for library in re.findall(r"(/\S+) \(0x", told.stdout):
            if in_guest(library) not in self.entries:
                self.parents(in_guest(library))
                self.entries[in_guest(library)] = (stat.S_IFREG | 0o755, library)
        self.elf = []

    def write(self, file):
        """As a cpio archive in the format that the kernel unpacks ("newc")."""
        self.add_libraries()
        for number, path in enumerate(sorted(self.entries), 1):
            mode, content = self.entries[path]
            if isinstance(content, str):
                modified = int(os.stat(content).st_mtime)
                content = pathlib.Path(content).read_bytes()
            else:
                modified = 0
            add_to_archive(file, number, path.lstrip("/"), mode, modified, content)
        add_to_archive(file, 0, "TRAILER!!!", 0, 0, b"")


def add_to_archive(file, number, name, mode, modified, content):
    """`modified` is the host's: what Python has compiled counts only while its source is as old."""
    name = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, modified, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    file.write(header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4))


def add_python(image):
    python = find_tool("python3")
    needs = image.ask(python, "-I", "-c", PYTHON_NEEDS, ROOT / "tools/test_summary.py")
    if needs.returncode != 0:
        raise ImageError(f"asking {python} for its modules failed: {needs.stderr.strip()}")
    for path in set(needs.stdout.split()):
        if os.path.isfile(path):
            image.file(path)
    image.file(os.path.realpath(python))
    image.link("/usr/bin/python3", in_guest(os.path.realpath(python)))
    image.text("/tools/test_summary.py", (ROOT / "tools/test_summary.py").read_text(), 0o755)


def add_tools(image):
    busybox = find_tool("busybox")
    if not busybox:
        raise ImageError("busybox is missing (package busybox-static)")
    for name in TOOLS:
        found = find_tool(name)
        if found:
            image.file(os.path.realpath(found), in_guest(found))
        else:
            raise ImageError(f"{name} is missing on this host; scripts/bootstrap.sh installs it")
    add_python(image)
    for path in FILES:
        image.tree(path)
    image.file(busybox)
    applets = image.ask(busybox, "--list")
    if applets.returncode != 0:
        raise ImageError(f"'{busybox} --list' failed: {applets.stderr.strip()}")
    for applet in applets.stdout.split():
        if not {f"/usr/bin/{applet}", f"/usr/sbin/{applet}"} & image.entries.keys():
            image.link(f"/usr/bin/{applet}", in_guest(busybox))


def build(programs, kernel, path, deadline):
    """Writes an initramfs for `kernel` with `programs` (absolute paths) to `path`."""
    with tempfile.TemporaryDirectory(prefix="faultline-vm-") as scratch:
        image = Image(deadline, scratch)
        for name in MERGED:
            image.link(f"/{name}", f"usr/{name}")
            image.folder(f"/usr/{name}")
        for name in ("dev", "proc", "sys", "run", "tmp", "share", "root", "etc", "var"):
            image.folder(f"/{name}")
        image.link("/var/run", "/run")
        image.link("/var/tmp", "/tmp")
        image.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        image.text("/etc/group", "root:x:0:\n")
        image.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        image.text("/etc/nsswitch.conf", "hosts: files\n")
        image.text("/init", (HERE / "guest_init").read_text(), 0o755)
        add_tools(image)
        for program in programs:
            image.program(program)
        image.tree(kernel.modules, f"/usr/lib/modules/{kernel.version}")
        with open(path, "wb") as file:
            image.write(file)
