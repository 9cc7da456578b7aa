// The gRPC services about membership, made without showing gRPC to who makes them.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "server/cluster.h"
#include "server/overload.h"
#include "server/snapshot_saver.h"

namespace faultline::server {

// For the API listener. All outlive the service.
std::unique_ptr<grpc::Service> MakeClusterService(Cluster* cluster, ControlPlane* plane,
                                                  SnapshotSaver* saver, Gates* gates);
// For the peer listener, and for no other.
std::unique_ptr<grpc::Service> MakeClusterPeerService(Cluster* cluster);

}  // namespace faultline::server
