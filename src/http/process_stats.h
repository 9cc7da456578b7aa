// What /proc says of this process.
#pragma once

namespace faultline::http {

struct ProcessStats {
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double open_fds = 0;
  double threads = 0;
  double start_time_seconds = 0;  // Unix time
};

// What cannot be read is 0.
ProcessStats ReadProcessStats();

}  // namespace faultline::http
