/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
#ifndef FAULTLINE_NETWORK_LOWEST_BIT_BPF_H
#define FAULTLINE_NETWORK_LOWEST_BIT_BPF_H

#include <bpf/bpf_helpers.h>
#include <linux/types.h>

static const __u8 fl_bit_positions[64] = {
    0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
    22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
    23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12};

/* Position of the lowest bit of a word that is not 0, by de Bruijn's sequence: without branches, of
 * which the verifier would follow each. */
static __always_inline __u32 fl_lowest_bit(__u64 word) {
  __u64 place = ((word & -word) * 0x022fdd63cc95386dull) >> 58;
  __u32 bit;
  /* Hidden from the compiler, which would drop the masks that the verifier wants to see. */
  asm volatile("" : "+r"(place));
  bit = fl_bit_positions[place & 63];
  asm volatile("" : "+r"(bit));
  return bit & 63;
}

#endif
