// KEY RULES: to which endpoints a worker shows which of its keys. A job may bring endpoints of its
// own, with any URL and the name of any variable or file, and whoever has the client token submits
// jobs; so a key goes where the operators said: of the worker (its own endpoint, --allow-key) or of
// the coordinator (the pools of its configuration). Invariant: without a rule, no key goes to an
// endpoint that a job brought along.
#pragma once

#include "protocol/job_spec.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::worker {

struct KeyRule {
  std::string key; // the name of the variable or the path of the file
  std::string url; // this base URL, and those below it
};

// NAME=URL; an error says what was expected.
Result<KeyRule> key_rule_of(std::string_view text);

class KeyRules {
public:
  KeyRules() = default;
  explicit KeyRules(std::vector<KeyRule> rules) : rules_{std::move(rules)} {}
  // Of a worker in the process of the command whose jobs it runs: the user named the keys himself.
  static KeyRules of_the_user();

  // Why the key of a job's own endpoint is not shown to it; empty = it may be, or there is none.
  std::string why_not(const EndpointSpec& endpoint) const;

private:
  std::vector<KeyRule> rules_;
  bool all_ = false;
};

} // namespace gristmill::worker
