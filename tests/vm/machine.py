"""One run of a virtual machine: qemu without KVM, the console in a file, a shared folder for the
job and its results, and a time limit."""
import ctypes
import mmap
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import time

QEMU = "qemu-system-x86_64"
CONSOLE_TAIL_LINES = 30
QEMU_TAIL_CHARACTERS = 1000
MEMORY_MIB = 2048
PROCESSORS = 2


class MachineError(Exception):
    """What went wrong, in sentences, with the console's last lines."""


def console_tail(console):
    if not console.exists():
        return "(the console stayed empty)"
    text = console.read_text(errors="replace").replace("\r", "")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc", "", text)
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  | {line}" for line in lines[-CONSOLE_TAIL_LINES:]) or \
        "(the console stayed empty)"


def host_tsc_khz():
    """How fast the host's time stamp counter is, which the guest reads; None when the host itself does
    not trust it, or has none."""
    source = pathlib.Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    trusts = source.exists() and source.read_text().strip() in ("tsc", "kvm-clock")
    if platform.machine() != "x86_64" or not trusts:
        return None
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3")  # rdtsc; shl rdx, 32; or rax, rdx; ret
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def both():
        """(nanoseconds, ticks) of one moment: of several tries the one that was interrupted least."""
        tries = []
        for _ in range(20):
            before, ticks, after = time.monotonic_ns(), read(), time.monotonic_ns()
            tries.append((after - before, before, ticks))
        return min(tries)[1:]

    began_ns, began = both()
    time.sleep(0.2)
    ended_ns, ended = both()
    return round((ended - began) * 1e6 / (ended_ns - began_ns))


def clock_options():
    """A guest that is starved while it measures its counter's rate gets that wrong by factors, so it is
    told. Else it reads a timer instead, each time through the emulator's one lock, which is slow."""
    khz = host_tsc_khz()
    return f"clocksource=tsc tsc=reliable tsc_early_khz={khz}" if khz else "clocksource=hpet tsc=unstable"


def command_line(kernel, initrd, share, console):
    return [
        QEMU, "-accel", "tcg,thread=multi", "-machine", "q35",
        # Few of the extensions of today's processors: the emulator is slow at them. Random numbers are
        # not to be waited for.
        "-cpu", "Nehalem,+rdrand",
        "-smp", str(PROCESSORS), "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none",
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-fsdev", f"local,id=share,path={share},security_model=none",
        "-device", "virtio-9p-pci,fsdev=share,mount_tag=share",
        "-kernel", str(kernel.image), "-initrd", str(initrd),
        # A panic ends the machine. A kernel that looks whether its timer ticks panics when the emulator is
        # starved just then.
        "-append", "console=ttyS0 panic=-1 oops=panic loglevel=4 random.trust_cpu=on "
                   "no_timer_check nokaslr mitigations=off init_on_alloc=0 rcupdate.rcu_expedited=1 "
                   f"{clock_options()} rdinit=/init",
    ]


def wait(process, deadline, console, on_line):
    """Passes what the guest says to on_line; False when the deadline was reached first."""
    told = 0
    while True:
        ended = process.poll() is not None
        text = console.read_text(errors="replace") if console.exists() else ""
        complete = text.rfind("\n") + 1
        for line in text[told:complete].splitlines():
            on_line(line.rstrip("\r"))
        told = max(told, complete)
        if ended:
            return True
        if not deadline.left():
            return False
        time.sleep(0.2)


def end_with_parent(with_signal=signal.SIGKILL):
    """What is started is not to outlive this process, however that ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, with_signal)


def run(kernel, initrd, share, deadline, on_line):
    """Boots, and returns when the guest has finished its job, share/job. Results are in `share`.
    Raises MachineError when there is no qemu, or the guest panics, ends early or has not finished at
    the deadline."""
    began = time.monotonic()
    share = pathlib.Path(share)
    console, complaints = share / "console.log", share / "qemu.log"
    if shutil.which(QEMU) is None:
        raise MachineError(f"kernel {kernel.name}: {QEMU} is missing (package qemu-system-x86)")
    with open(complaints, "w") as file, subprocess.Popen(
            command_line(kernel, initrd, share, console), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=file, start_new_session=True, preexec_fn=end_with_parent) as process:
        try:
            in_time = wait(process, deadline, console, on_line)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
    where = f"kernel {kernel.name} ({kernel.version})"
    if not in_time:
        raise MachineError(f"{where}: not finished after {time.monotonic() - began:.0f} s; the "
                           f"console's last lines:\n{console_tail(console)}")
    if not (share / "finished").exists():
        panic = re.search(r"Kernel panic - (.*)", console.read_text(errors="replace")
                          if console.exists() else "")
        what = f"panicked: {panic[1].strip()}" if panic else "ended before its job was done"
        said = complaints.read_text(errors="replace")[-QEMU_TAIL_CHARACTERS:].strip()
        qemu = f"; qemu says: {said}" if said else ""
        raise MachineError(f"{where}: {what}{qemu}; the console's last lines:\n"
                           f"{console_tail(console)}")
