#include "protocol/rules/cache_scope.hpp"

#include <algorithm>
#include <vector>

namespace gristmill {

// What the requests themselves say, the model, the labels and a schema, stands in their keys.
std::string cache_scope(const JobSpec& spec) {
  if (spec.policy.no_cache) return {};
  std::vector<std::string> urls;
  for (const EndpointSpec& endpoint : spec.endpoints) urls.push_back(endpoint.url);
  std::ranges::sort(urls);
  std::string scope = spec.policy.no_check ? "unchecked" : "checked";
  if (urls.empty()) scope += "\npools";
  for (const std::string& url : urls) (scope += '\n') += url;
  return scope;
}

} // namespace gristmill
