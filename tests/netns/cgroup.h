// A cgroup of a test's own.
#pragma once

#include <string>

namespace faultline::netns_test {

class OwnCgroup {
 public:
  // Makes one with another, "inner", in it; why() tells why not. Each has a suffix of its own.
  explicit OwnCgroup(const std::string& suffix = "");
  // Takes both away. Whoever is in them has left.
  ~OwnCgroup();
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;

  // Empty: it is there.
  const std::string& why() const { return why_; }
  const std::string& name() const { return name_; }

  // This process's place; a socket belongs to the cgroup that its process was in when it was made.
  void EnterInner() const { Move("/" + name_ + "/inner"); }
  void Leave() const { Move(home_); }

 private:
  void Move(const std::string& cgroup) const;

  std::string why_, root_, home_, name_;
};

}  // namespace faultline::netns_test
