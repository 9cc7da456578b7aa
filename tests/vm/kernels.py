"""The kernels of kernels.txt: asked of APT, downloaded, unpacked into a cache, never installed. APT is
asked with sources and lists of our own: which release the host has makes no difference, and neither
root nor the host's sources are needed."""
import dataclasses
import hashlib
import os
import pathlib
import platform
import pwd
import re
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache",
                     "faultline", "vm")
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT_MIRROR = "http://deb.debian.org/debian"

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


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def mirrors():
    """(of Debian, of its security updates): those that the host uses, or the default."""
    found = {}
    targets = output_of("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)",
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


def ask_apt(suites):
    """Fetches what the suites offer now; a complaint or ''. What was offered last stays known."""
    home = CACHE / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    main, security = mirrors()
    (home / "sources.list").write_text("".join(
        f"deb [signed-by={KEYS}] {security if suite.endswith('-security') else main} {suite} main\n"
        for suite in sorted(suites)))
    asked = subprocess.run(["apt-get", *apt_options(), "update", "--error-on=any"],
                           capture_output=True, text=True, check=False)
    lines = asked.stderr.strip().splitlines() or ["no message"]
    return "" if asked.returncode == 0 else f"'apt-get update' failed: {lines[0]}"


def find_offer(sources):
    """(package, version) of the newest image that a meta package of `sources` leads to, or None."""
    for meta, suite in sources:
        for line in output_of("apt-cache", *apt_options(), "madison", meta).splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) != 3 or f" {suite}/" not in fields[2]:
                continue
            shown = output_of("apt-cache", *apt_options(), "show", f"{meta}={fields[1]}")
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


def depmod(base, version):
    subprocess.run(["depmod", "-b", base, version], check=True, capture_output=True,
                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})


def packages_of(package, version):
    """[NAME=VERSION] of a kernel: newer ones are in parts, on which the image's package depends."""
    shown = output_of("apt-cache", *apt_options(), "show", f"{package}={version}")
    depends = re.search(r"^Depends: (.*)$", shown, re.M)
    parts = re.findall(r"(linux-(?:base|binary|modules)-\d\S*) \(= ([^)]+)\)",
                       depends[1] if depends else "")
    return [f"{name}={number}" for name, number in [(package, version), *parts]]


def unpack(package_files, into):
    """Keeps of a kernel's packages the image and the modules that are needed."""
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        scratch = pathlib.Path(scratch)
        for package_file in package_files:
            subprocess.run(["dpkg-deb", "-x", package_file, scratch / "all"], check=True)
        tree, = [*(scratch / "all/lib/modules").glob("*"), *(scratch / "all/usr/lib/modules").glob("*")]
        version = tree.name
        image = next(path for path in (tree / "vmlinuz", scratch / f"all/boot/vmlinuz-{version}")
                     if path.is_file())
        depmod(tree.parent.parent.parent, version)
        kept = scratch / "kept"
        kept_tree = kept / "lib/modules" / version
        for module in needed_modules(tree):
            (kept_tree / module).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / module, kept_tree / module)
        for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(tree / listing, kept_tree / listing)
        # Here, once, rather than in the guest at each boot.
        for module in kept_tree.rglob("*.ko.xz"):
            subprocess.run(["xz", "--decompress", module], check=True)
        depmod(kept, version)
        shutil.copy(image, kept / "vmlinuz")
        shutil.rmtree(into, ignore_errors=True)
        kept.rename(into)


def from_folder(name, folder, note=""):
    modules, = (folder / "lib/modules").iterdir()
    return Kernel(name, modules.name, folder / "vmlinuz", modules, note)


def download(package, version, folder):
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        packages = packages_of(package, version)
        got = subprocess.run(["apt-get", *apt_options(), "download", *packages], cwd=scratch,
                             capture_output=True, text=True, check=False)
        files = list(pathlib.Path(scratch).glob("*.deb"))
        if got.returncode != 0 or len(files) != len(packages):
            raise KernelError(f"'apt-get download {' '.join(packages)}' failed: "
                              f"{(got.stderr.strip().splitlines() or ['no message'])[-1]}")
        try:
            unpack(files, folder)
        except (OSError, StopIteration, ValueError, subprocess.CalledProcessError) as error:
            raise KernelError(f"the package {package} {version} could not be unpacked: "
                              f"{error}") from error


def fetch(name, say):
    """The kernel of that name, from the cache or downloaded. Raises KernelError."""
    sources = read_list()[0].get(name)
    if sources is None:
        raise KernelError(f"tests/vm/kernels.txt names no kernel '{name}'; "
                          f"it names {', '.join(read_list()[0])}")
    CACHE.mkdir(parents=True, exist_ok=True)
    newest = CACHE / f"kernel-{name}"  # a link to the folder that was used last
    complaint = ask_apt({suite for _, suite in sources})
    offer = find_offer(sources)
    if offer is None:
        suites = ", ".join(f"{package} of {suite}" for package, suite in sources)
        complaint = f"APT offers none of {suites}" + (f" ({complaint})" if complaint else "")
        if newest.exists():
            return from_folder(name, newest, f"{complaint}; the cached one is used")
        raise KernelError(f"kernel {name}: {complaint}")
    package, version = offer
    # What the cached folder depends on besides the package.
    modules_key = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:8]
    folder = CACHE / f"{package}_{version.replace(':', '.')}_{modules_key}"
    note = ""
    if not folder.is_dir():
        say(f"kernel {name}: downloading {package} {version}")
        try:
            download(package, version, folder)
        except KernelError as error:
            if not newest.exists():
                raise KernelError(f"kernel {name}: {error}") from error
            return from_folder(name, newest, f"{error}; the cached one is used")
    link = CACHE / f".kernel-{name}.{os.getpid()}"
    link.symlink_to(folder.name)
    link.rename(newest)
    forget_unused()
    return from_folder(name, folder, note)


def forget_unused():
    """Removes unpacked kernels that no name points to any more."""
    used = {path.resolve() for path in CACHE.glob("kernel-*")}
    for folder in CACHE.glob("linux-image-*"):
        if folder.resolve() not in used:
            shutil.rmtree(folder, ignore_errors=True)
