// What a caller is told whose request is no message at all (texts that are not UTF-8, other bytes).
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <vector>

namespace faultline::server {

// For ServerBuilder::experimental().SetInterceptorCreators. gRPC's callback API answers a request
// that cannot be parsed as if the method did not exist (UNIMPLEMENTED, without a word); with this
// it is INVALID_ARGUMENT and says so. Methods that do not exist stay UNIMPLEMENTED.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
MalformedRequestInterceptors();

}  // namespace faultline::server
