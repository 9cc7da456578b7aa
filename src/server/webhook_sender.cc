#include "server/webhook_sender.h"

namespace faultline::server {

StatusOr<std::unique_ptr<WebhookSender>> WebhookSender::Make(std::vector<WebhookConfig> configs,
                                                             Strand* strand, ControlPlane* plane) {
  Targets targets;
  for (const WebhookConfig& config : configs) {
    FL_ASSIGN_OR_RETURN(auto target, http::MakePostTarget(config.url, config.ca_file));
    targets.push_back(std::move(target));
  }
  return std::unique_ptr<WebhookSender>(
      new WebhookSender(std::move(configs), std::move(targets), strand, plane));
}

WebhookSender::WebhookSender(std::vector<WebhookConfig> configs, Targets targets, Strand* strand,
                             ControlPlane* plane)
    : targets_(std::move(targets)),
      webhooks_(std::move(configs), strand, plane,
                [this](size_t webhook, WebhookPost post, auto done) {
                  const http::Poster::Headers headers = {{"webhook-id", post.id},
                                                         {"webhook-timestamp", post.timestamp},
                                                         {"webhook-signature", post.signature}};
                  poster_.Send(targets_[webhook], headers, std::move(post.body), std::move(done));
                }) {}

}  // namespace faultline::server
