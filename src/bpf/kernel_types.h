// The running kernel's types, as libbpf holds them.
#pragma once

#include <bpf/btf.h>

#include <memory>

namespace faultline::bpf {

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

// Null when they cannot be read; errno says why.
inline Btf LoadKernelBtf() { return Btf(btf__load_vmlinux_btf()); }

}  // namespace faultline::bpf
