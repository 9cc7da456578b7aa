// Webhooks over HTTP.
#pragma once

#include <memory>
#include <vector>

#include "http/poster.h"
#include "server/webhooks.h"

namespace faultline::server {

class WebhookSender {
 public:
  // Nothing is sent before webhooks().Start(). INVALID_ARGUMENT when a CA file is none. Strand and
  // plane as in Webhooks.
  static StatusOr<std::unique_ptr<WebhookSender>> Make(std::vector<WebhookConfig> configs,
                                                       Strand* strand, ControlPlane* plane);
  Webhooks& webhooks() { return webhooks_; }

 private:
  using Targets = std::vector<std::shared_ptr<const http::PostTarget>>;
  WebhookSender(std::vector<WebhookConfig> configs, Targets targets, Strand* strand,
                ControlPlane* plane);

  const Targets targets_;
  Webhooks webhooks_;
  http::Poster poster_;  // ends first: it calls the webhooks
};

}  // namespace faultline::server
