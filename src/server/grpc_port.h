// How a controller's gRPC listeners are made. Includes gRPC: for controller.cc only.
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "rpc/endpoint.h"
#include "rpc/peer_names.h"

namespace faultline::server {

// Adds the listener to the builder; *port is what it got, 0 when it got none. `names`: whose calls
// alone are answered, but for that of a node that is to join; null: everybody's. Errors of
// rpc::ListenerCredentials.
Status PreparePort(grpc::ServerBuilder& builder, const rpc::TlsFiles& tls,
                   const std::shared_ptr<rpc::PeerNames>& names, const std::string& address,
                   int* port);

// The error for a listener that got no port.
Status CannotListen(const std::string& address);

// Ends a server: calls get half a second.
void ShutDown(std::unique_ptr<grpc::Server>& server);

}  // namespace faultline::server
