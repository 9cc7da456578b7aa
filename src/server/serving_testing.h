// Services of a test on a listener of their own, over real connections. Includes gRPC.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/grpc_port.h"

namespace faultline::server {

// Serves these, which outlive the server, at `*address`, which becomes that of the port it got. The
// test has failed fatally when that did not go well.
inline void ServeAt(std::string* address, const std::vector<grpc::Service*>& services,
                    std::unique_ptr<grpc::Server>* server) {
  grpc::ServerBuilder builder;
  int port = 0;
  ASSERT_TRUE(PreparePort(builder, {}, nullptr, *address, &port).ok());
  for (grpc::Service* service : services) builder.RegisterService(service);
  *server = builder.BuildAndStart();
  ASSERT_NE(*server, nullptr);
  *address = fmt::format("127.0.0.1:{}", port);
}

}  // namespace faultline::server
