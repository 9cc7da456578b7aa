"""The kernels of kernels.txt: asked of APT, downloaded, unpacked into a cache, never installed. APT is
asked with sources and lists of our own: which release the host has makes no difference, and neither
root nor the host's sources are needed."""
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import platform
import pwd
import re
import shutil
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache",
                     "faultline", "vm")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
# Of one call; a run's own deadline may be nearer. An APT that hangs must leave time for a cached kernel.
UPDATE_LIMIT_S = 60
TOOL_LIMIT_S = 120
DOWNLOAD_LIMIT_S = 900
# What no run has fetched for so long, no run uses.
UNUSED_LIMIT_S = 86400

# Modules that tests may ask for, by path below lib/modules/VERSION/kernel; what these depend on
# comes with them.
WANTED_MODULES = (
    r"drivers/virtio/virtio_pci\.ko", r"net/9p/9pnet_virtio\.ko", r"fs/9p/9p\.ko",
    r"drivers/net/(tun|veth|ifb|dummy|macvlan|vxlan/vxlan)\.ko", r"net/8021q/8021q\.ko",
    r"net/bridge/bridge\.ko", r"net/sched/\w+\.ko",
    r"net/netfilter/(nf_tables|nft_\w+|nf_conntrack)\.ko", r"net/ipv[46]/\w*(nf|nft)_\w+\.ko",
    r"drivers/md/dm-(mod|flakey|delay|log-writes|dust)\.ko", r"drivers/block/loop\.ko",
    r"fs/(ext4|overlayfs|fuse)/\w+\.ko", r"net/(packet|unix)/\w+diag\.ko",
    r"net/ipv4/(tcp|udp|inet)_diag\.ko", r"crypto/crc32c_generic\.ko",
)


class KernelError(Exception):
    """A sentence that says which kernel is missing, and why."""


@dataclasses.dataclass
class Kernel:
    name: str
    version: str  # as uname -r says it
    image: pathlib.Path
    modules: pathlib.Path  # lib/modules/VERSION: only what WANTED_MODULES needs
    note: str = ""  # what a reader of the run should know


def read_list():
    """({name: [(package, suite)]}, name of the short run's kernel)."""
    kernels, short = {}, None
    for line in (HERE / "kernels.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "short-run":
            short = words[1]
        else:
            kernels.setdefault(words[0], []).append((words[1], words[2]))
    return kernels, short


class Tools:
    """Programs of the host, each of which ends in time. `deadline` is that of all of them together."""

    def __init__(self, deadline):
        self.deadline = deadline

    def run(self, command, limit_s=TOOL_LIMIT_S, check=False, **options):
        """Raises KernelError when it does not end in time or, with `check`, fails; OSError when it cannot be
        started. What it prints is in the result."""
        part = self.deadline.part(limit_s)

        def told():
            return " ".join(str(word) for word in command if word not in apt_options())

        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=part.left(), check=False, **options)
        except subprocess.TimeoutExpired as error:
            raise KernelError(f"'{told()}' was not finished after {part.passed():.0f} s") from error
        if check and done.returncode != 0:
            raise KernelError(f"'{told()}' failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return done

    def output_of(self, *command):
        return self.run(command).stdout


def mirrors(tools):
    """(of Debian, of its security updates): those that the host uses, or the default."""
    found = {}
    targets = tools.output_of("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)",
                              "Identifier: Packages")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for line in targets.splitlines():
        codename, _, address = line.partition(" ")
        found.setdefault(codename, address.rstrip("/"))
    main = found.get(release, DEFAULT_MIRROR)
    return main, found.get(f"{release}-security", f"{main}-security")


def apt_options():
    """What makes APT use a folder of ours. It is the same for apt-get and apt-cache."""
    home = CACHE / "apt"
    return ["-o", f"Dir::Etc::sourcelist={home}/sources.list", "-o", "Dir::Etc::sourceparts=-",
            "-o", f"Dir::State::lists={home}/lists", "-o", f"Dir::Cache={home}/cache",
            "-o", "Acquire::Languages=none",
            "-o", "APT::Sandbox::User=" + pwd.getpwuid(os.geteuid()).pw_name]


def ask_apt(tools, suites):
    """Fetches what the suites offer now; a complaint or ''. What was offered last stays known."""
    home = CACHE / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    main, security = mirrors(tools)
    (home / "sources.list").write_text("".join(
        f"deb [signed-by={KEYS}] {security if suite.endswith('-security') else main} {suite} main\n"
        for suite in sorted(suites)))
    try:
        asked = tools.run(["apt-get", *apt_options(), "update", "--error-on=any"], UPDATE_LIMIT_S)
    except KernelError as error:
        return str(error)
    lines = asked.stderr.strip().splitlines() or ["no message"]
    return "" if asked.returncode == 0 else f"'apt-get update' failed: {lines[0]}"


def find_offer(tools, sources):
    """(package, version) of the newest image that a meta package of `sources` leads to, or None."""
    for meta, suite in sources:
        for line in tools.output_of("apt-cache", *apt_options(), "madison", meta).splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) != 3 or f" {suite}/" not in fields[2]:
                continue
            shown = tools.output_of("apt-cache", *apt_options(), "show", f"{meta}={fields[1]}")
            depends = re.search(r"^Depends:.*?(linux-image-\S+) \(= ([^)]+)\)", shown, re.M)
            if depends:
                return depends[1], depends[2]
            depends = re.search(r"^Depends: (linux-image-[^\s,]+)", shown, re.M)
            if depends:
                return depends[1], fields[1]
    return None


def needed_modules(tree):
    """Paths below `tree` (lib/modules/VERSION) of WANTED_MODULES and what they depend on."""
    depends = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        depends[module] = others.split()
    wanted = re.compile(rf"kernel/({'|'.join(WANTED_MODULES)})(\.\w+)?$")
    needed = {module for module in depends if wanted.match(module)}
    for module in list(needed):
        needed.update(depends[module])
    return sorted(needed)


def depmod(tools, base, version):
    tools.run(["depmod", "-b", base, version], check=True,
              env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})


def packages_of(tools, package, version):
    """[NAME=VERSION] of a kernel: newer ones are in parts, on which the image's package depends."""
    shown = tools.output_of("apt-cache", *apt_options(), "show", f"{package}={version}")
    depends = re.search(r"^Depends: (.*)$", shown, re.M)
    parts = re.findall(r"(linux-(?:base|binary|modules)-\d\S*) \(= ([^)]+)\)",
                       depends[1] if depends else "")
    return [f"{name}={number}" for name, number in [(package, version), *parts]]


def unpack(tools, package_files, into):
    """Keeps of a kernel's packages the image and the modules that are needed."""
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        scratch = pathlib.Path(scratch)
        for package_file in package_files:
            tools.run(["dpkg-deb", "-x", package_file, scratch / "all"], check=True)
        tree, = [*(scratch / "all/lib/modules").glob("*"), *(scratch / "all/usr/lib/modules").glob("*")]
        version = tree.name
        image = next(path for path in (tree / "vmlinuz", scratch / f"all/boot/vmlinuz-{version}")
                     if path.is_file())
        depmod(tools, tree.parent.parent.parent, version)
        kept = scratch / "kept"
        kept_tree = kept / "lib/modules" / version
        for module in needed_modules(tree):
            (kept_tree / module).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / module, kept_tree / module)
        for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(tree / listing, kept_tree / listing)
        # Here, once, rather than in the guest at each boot.
        for module in kept_tree.rglob("*.ko.xz"):
            tools.run(["xz", "--decompress", module], check=True)
        depmod(tools, kept, version)
        shutil.copy(image, kept / "vmlinuz")
        shutil.rmtree(into, ignore_errors=True)
        kept.rename(into)


def from_folder(name, folder, note=""):
    modules, = (folder / "lib/modules").iterdir()
    # A name that is a version is a promise; others ("newest") are not.
    if re.fullmatch(r"[\d.]+", name) and not modules.name.startswith(f"{name}."):
        raise KernelError(f"kernel {name}: the packages of tests/vm/kernels.txt brought {modules.name}")
    os.utime(folder)  # for forget_unused
    return Kernel(name, modules.name, folder / "vmlinuz", modules, note)


def download(tools, package, version, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        packages = packages_of(tools, package, version)
        tools.run(["apt-get", *apt_options(), "download", *packages], DOWNLOAD_LIMIT_S, check=True, cwd=scratch)
        files = list(pathlib.Path(scratch).glob("*.deb"))
        if len(files) != len(packages):
            raise KernelError(f"'apt-get download {' '.join(packages)}' brought {len(files)} packages")
        try:
            unpack(tools, files, folder)
        except (KernelError, OSError, StopIteration, ValueError) as error:
            raise KernelError(f"the package {package} {version} could not be unpacked: "
                              f"{error}") from error


def fetch(name, say, deadline):
    """The kernel of that name, from the cache or downloaded, before the deadline. Raises KernelError."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:  # runs side by side share APT's lists
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fetch_alone(name, say, Tools(deadline))
            except BlockingIOError as error:
                if not deadline.left():
                    raise KernelError(f"kernel {name}: another run has held {lock.name} for "
                                      f"{deadline.passed():.0f} s") from error
                time.sleep(0.2)


def fetch_alone(name, say, tools):
    sources = read_list()[0].get(name)
    if sources is None:
        raise KernelError(f"tests/vm/kernels.txt names no kernel '{name}'; "
                          f"it names {', '.join(read_list()[0])}")
    newest = CACHE / f"kernel-{name}"  # a link to the folder that was used last
    try:
        folder, note = bring_offer(name, sources, say, tools)
    except (KernelError, OSError) as error:
        if not newest.exists():
            raise KernelError(f"kernel {name}: {error}") from error
        return from_folder(name, newest, f"{error}; the cached one is used")
    kernel = from_folder(name, folder, note)
    link = CACHE / f".kernel-{name}.{os.getpid()}"
    link.symlink_to(folder.name)
    link.rename(newest)
    forget_unused()
    return kernel


def bring_offer(name, sources, say, tools):
    """(folder, note) of what APT offers, downloaded unless the cache has it. Raises KernelError, OSError."""
    complaint = ask_apt(tools, {suite for _, suite in sources})
    offer = find_offer(tools, sources)
    if offer is None:
        suites = ", ".join(f"{package} of {suite}" for package, suite in sources)
        raise KernelError(f"APT offers none of {suites}" + (f" ({complaint})" if complaint else ""))
    package, version = offer
    # What the cached folder depends on besides the package.
    modules_key = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:8]
    folder = CACHE / f"{package}_{version.replace(':', '.')}_{modules_key}"
    if not folder.is_dir():
        say(f"kernel {name}: downloading {package} {version}")
        download(tools, package, version, folder)
    return folder, f"{complaint}; what APT offered before is used" if complaint else ""


def forget_unused():
    """Removes unpacked kernels that no name points to, and that no other checkout's run may be using."""
    used = {path.resolve() for path in CACHE.glob("kernel-*")}
    for folder in CACHE.glob("linux-image-*"):
        if folder.resolve() not in used and time.time() - folder.stat().st_mtime > UNUSED_LIMIT_S:
            shutil.rmtree(folder, ignore_errors=True)
