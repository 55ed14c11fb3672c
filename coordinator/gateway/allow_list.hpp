// ALLOW LIST: whose key may join. The file is looked at with every question, so that a worker that
// is enrolled or removed needs no restart. Invariant: a file that cannot be read changes nothing.
#pragma once

#include "actors/kit/event.hpp"
#include "protocol/keys/access.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace gristmill::coordinator {

// Any thread.
class Enrolment {
public:
  virtual ~Enrolment() = default;
  // The name that a public key is enrolled under; none: it may not join.
  virtual std::optional<std::string> name_of(std::string_view public_key) = 0;
};

class AllowList : public Enrolment {
public:
  static Result<std::unique_ptr<AllowList>> open(const std::string& file,
                                                 std::function<void(const Event&)> log);
  std::optional<std::string> name_of(std::string_view public_key) override;

private:
  AllowList(std::string file, std::function<void(const Event&)> log);
  Result<> reload();

  const std::string file_;
  const std::function<void(const Event&)> log_;
  std::mutex mutex_; // over what follows
  AllowedKeys keys_;
  struct stat seen_ {};
};

} // namespace gristmill::coordinator
