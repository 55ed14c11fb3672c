#include "actors/worker/key_rules.hpp"

#include "protocol/job/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::worker {
namespace {

// What is below a URL is decided on its text, so that text must not lead back up.
bool is_plain(std::string_view url) {
  return url.find("..") == url.npos && url.find('%') == url.npos;
}

bool covers(const std::string& rule, const std::string& url) {
  return url == rule || (url.starts_with(rule + "/") && is_plain(url));
}

} // namespace

Result<KeyRule> key_rule_of(std::string_view text) {
  const auto at = std::min(text.find("=http://"), text.find("=https://"));
  if (at == 0 || at == text.npos)
    return fail(ErrorCode::usage,
                fmt::format("expected NAME=URL, the variable or the file of a key and the base URL "
                            "that may have it, got {}",
                            json::printable(text, 100)));
  KeyRule rule{std::string{text.substr(0, at)},
               without_trailing_slash(std::string{text.substr(at + 1)})};
  if (const auto fault = fault_of_url(rule.url); !fault.empty())
    return fail(ErrorCode::usage,
                fmt::format("expected {}, got {}", fault, without_credentials(rule.url)));
  return rule;
}

KeyRules KeyRules::of_the_user() {
  KeyRules rules;
  rules.all_ = true;
  return rules;
}

std::string KeyRules::why_not(const EndpointSpec& endpoint, Of of) const {
  const std::string& name =
      endpoint.api_key_env.empty() ? endpoint.api_key_file : endpoint.api_key_env;
  const bool allowed = std::any_of(rules_.begin(), rules_.end(), [&](const KeyRule& rule) {
    return rule.key == name && covers(rule.url, endpoint.url);
  });
  if (all_ || name.empty() || allowed) return {};
  if (of == Of::worker || (of == Of::pool && proven_)) return {};
  const std::string shown = json::printable(name, limits::name_bytes_max);
  if (of == Of::pool)
    return fmt::format("The worker has no keys of its cluster, so it cannot know who its "
                       "coordinator is and shows its key {0} to no endpoint that only that names: "
                       "start the worker with --allow-key {0}={1}, or with --access FILE.",
                       shown, endpoint.url);
  return fmt::format("The worker shows its key {0} to no endpoint that only a job names: start the "
                     "worker with --allow-key {0}={1}, or put the endpoint into a [[pool]] of the "
                     "coordinator.",
                     shown, endpoint.url);
}

} // namespace gristmill::worker
