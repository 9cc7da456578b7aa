"""Benchmarks under one kernel: their figures go to standard output, all else to standard error."""
import shlex
import sys

import image
import kernels
import matrix
from matrix import log


def job_of(programs):
    # These kernels have netem: a benchmark that compares with it has no excuse. Of an emulated machine's times only
    # ratios mean something. Figures and the rest must not mix on the console.
    return "export FAULTLINE_BENCH_NEEDS_NETEM=1 FAULTLINE_BENCH_ONLY_RATIOS=1\n" + "".join(
        f"echo 'bench {program.name}'\n{shlex.quote(str(program))} "
        f">>/share/figures 2>>/share/complaints || echo {program.name} >>/share/failed\n"
        for program in programs)


def run(name, build, names, deadline):
    """True when every goal holds that means something there. Raises when the machine does not come to its end;
    what programs have said until then is shown all the same."""
    programs = [build / "bench" / each for each in names]
    for program in programs:
        if not program.exists():
            raise image.ImageError(f"there is no benchmark {program}")
    kernel = kernels.fetch(name, log, deadline)
    if kernel.note:
        log(f"kernel {name}: {kernel.note}")
    log(f"kernel {name}: booting {kernel.version}; software emulation: only ratios mean something")
    with matrix.shared_folder() as share:
        try:
            matrix.boot(kernel, programs + matrix.our_programs(build), job_of(programs), deadline,
                        lambda line: matrix.tell(line, sys.stderr), share)
        finally:
            for file, to in (("complaints", sys.stderr), ("figures", sys.stdout)):
                if (share / file).exists():
                    print((share / file).read_text(errors="replace"), end="", file=to, flush=True)
        if (share / "failed").exists():
            log("failed: " + " ".join((share / "failed").read_text().split()))
            return False
    return True
