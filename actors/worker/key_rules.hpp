// KEY RULES: to which endpoints a worker shows which of its keys. A job may bring endpoints of its
// own, with any URL and the name of any variable or file, and whoever has the client token submits
// jobs; so a key goes where the operators said: of the worker (its own endpoint, --allow-key) or of
// the coordinator (the pools of its configuration), if it has proven by its key to be one: without
// keys anybody may sit at its address. Invariant: without a rule, no key goes to an endpoint that a
// job brought along, and with keyless workers to none but their own.
#pragma once

#include "protocol/job/spec.hpp"

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
  // proven: the coordinator is, so what it calls an endpoint of a pool is one.
  KeyRules(std::vector<KeyRule> rules, bool proven) : rules_{std::move(rules)}, proven_{proven} {}
  // Of a worker in the process of the command whose jobs it runs: the user named the keys himself.
  static KeyRules of_the_user();

  // Who names an endpoint: this worker announces it, or the coordinator says whose it is.
  enum class Of : std::uint8_t { worker, pool, job };
  // Why the key of an endpoint is not shown to it; empty = it may be, or there is none.
  std::string why_not(const EndpointSpec& endpoint, Of of) const;

private:
  std::vector<KeyRule> rules_;
  bool all_ = false, proven_ = false;
};

} // namespace gristmill::worker
