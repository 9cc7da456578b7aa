/* Log-linear histogram layout, shared by the kernel programs and user space (C and C++).
 * Values are nanoseconds. 26 octaves from 2^10 to 2^36 ns (1.02 us to 68.7 s), 64 buckets in each:
 * a bucket is at most 1/64 = 1.6 % of its lower bound wide. Smaller values count in the first
 * bucket, larger ones in the last. Scheme HISTOGRAM_SCHEME_LOG_LINEAR_NS_64. */
#ifndef FAULTLINE_BASE_LOG_LINEAR_H
#define FAULTLINE_BASE_LOG_LINEAR_H

#define FL_HIST_MIN_SHIFT 10
#define FL_HIST_OCTAVES 26
#define FL_HIST_SUB_SHIFT 6
#define FL_HIST_SUB (1u << FL_HIST_SUB_SHIFT)
#define FL_HIST_BUCKETS (FL_HIST_OCTAVES * FL_HIST_SUB)

/* Bucket of a value, 0 to FL_HIST_BUCKETS - 1. */
static inline unsigned int fl_hist_bucket(unsigned long long value_ns) {
  unsigned int shift;
  if (value_ns < (1ull << FL_HIST_MIN_SHIFT)) return 0;
  if (value_ns >= (1ull << (FL_HIST_MIN_SHIFT + FL_HIST_OCTAVES))) return FL_HIST_BUCKETS - 1;
  /* Position of the highest bit by halving: BPF has no count-leading-zeros instruction. */
  shift = 0;
  if (value_ns >> 32) shift += 32;
  if ((value_ns >> shift) >> 16) shift += 16;
  if ((value_ns >> shift) >> 8) shift += 8;
  if ((value_ns >> shift) >> 4) shift += 4;
  if ((value_ns >> shift) >> 2) shift += 2;
  if ((value_ns >> shift) >> 1) shift += 1;
  return (shift - FL_HIST_MIN_SHIFT) * FL_HIST_SUB +
         ((unsigned int)(value_ns >> (shift - FL_HIST_SUB_SHIFT)) & (FL_HIST_SUB - 1));
}

/* Smallest value of a bucket, and the first value beyond it. */
static inline unsigned long long fl_hist_lower_ns(unsigned int bucket) {
  unsigned int octave = bucket / FL_HIST_SUB + FL_HIST_MIN_SHIFT;
  return (1ull << octave) +
         ((unsigned long long)(bucket % FL_HIST_SUB) << (octave - FL_HIST_SUB_SHIFT));
}
static inline unsigned long long fl_hist_upper_ns(unsigned int bucket) {
  unsigned int octave = bucket / FL_HIST_SUB + FL_HIST_MIN_SHIFT;
  return fl_hist_lower_ns(bucket) + (1ull << (octave - FL_HIST_SUB_SHIFT));
}

#endif
