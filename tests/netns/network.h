// Two network namespaces, a server's and a client's, joined by a veth pair; gone when the object
// is, and what earlier, killed test runs left behind is removed first.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace faultline::netns_test {

class Network {
 public:
  static constexpr char kServer4[] = "10.209.0.2";
  static constexpr char kClient4[] = "10.209.0.1";
  static constexpr char kServer6[] = "fd00:209::2";
  static constexpr char kClient6[] = "fd00:209::1";
  static constexpr char kInterface[] = "eth0";

  Network();
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The server's namespace is destroyed and made anew under the same name, with another interface:
  // as a container that is started anew.
  void RestartServer();

  const std::string& server_netns() const { return server_; }
  const std::string& client_netns() const { return client_; }

  // Run on the calling thread, inside; sockets made there stay there.
  void In(const std::string& netns, const std::function<void()>& work) const;
  void InServer(const std::function<void()>& work) const { In(server_, work); }
  void InClient(const std::function<void()>& work) const { In(client_, work); }

  // The command that runs `command` inside.
  static std::vector<std::string> Inside(const std::string& netns,
                                         const std::vector<std::string>& command);

  // What `ip`, `tc` and `bpftool` show of a namespace: devices, queueing disciplines, filters and
  // attached programs.
  std::string KernelState(const std::string& netns) const;

  // Names of the server's (client's) interfaces.
  std::vector<std::string> Links(const std::string& netns) const;

 private:
  // Lays the veth pair between the two, and waits until it carries both families both ways.
  void Join();
  // Until the interfaces can send.
  void AwaitFrames() const;
  // Until the namespace takes what is sent to its own address.
  void AwaitAddress(const std::string& netns, const char* address) const;
  // Until the server's answer has come to the client.
  void AwaitAnswer(const char* address) const;

  std::string server_;
  std::string client_;
};

// Returns once no processor has packets that have come to a device and are not looked at yet: a
// queue of theirs holds a thousand, and on a busy machine they may be late.
void AwaitQueues();

}  // namespace faultline::netns_test
