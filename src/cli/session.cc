#include "cli/session.h"

#include "cli/describe.h"

namespace faultline::cli {

Session::Session(Output& output, std::shared_ptr<client::Cancellation> interrupt_token)
    : out(output), interrupt(std::move(interrupt_token)) {}

StatusOr<client::Client*> Session::Connect() {
  if (client_) return client_.get();
  client::Options options;
  options.addresses = flags.address;
  options.ca_file = flags.ca_file;
  options.cert_file = flags.cert_file;
  options.key_file = flags.key_file;
  options.timeout = flags.timeout;
  FL_ASSIGN_OR_RETURN(client_, client::Client::Create(options));
  return client_.get();
}

client::StreamOptions Session::stream() {
  return {interrupt,
          [this](const Status& why, const std::string& next) { out.Note(BrokenText(why, next)); }};
}

}  // namespace faultline::cli
