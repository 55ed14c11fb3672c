#include "cli/run/keys.hpp"
#include "protocol/rules/served.hpp"

#include "worker/http/api_keys.hpp"

#include <fmt/format.h>

namespace gristmill::cli {

Result<> check_key(const EndpointSpec& endpoint) {
  worker::ApiKeys keys{worker::ApiKeys::Owner::command};
  const auto line = keys.authorization(endpoint.api_key_env, endpoint.api_key_file);
  if (line) return {};
  const bool named = endpoint.api_key_env.empty();
  const std::string where = named ? "the file " + endpoint.api_key_file
                                  : "the environment variable " + endpoint.api_key_env;
  return fail(
      ErrorCode::usage,
      fmt::format("expected the API key of {} in {}, {}; put it there, say where it is with "
                  "--api-key-env or --api-key-file, or that the server takes none with "
                  "--api-key-env ''",
                  endpoint.url, where, line.error().message));
}

Result<> check_keys(const JobSpec& spec, const std::vector<PoolSpec>& pools) {
  for (const EndpointSpec& endpoint : spec.endpoints) GRISTMILL_TRY(check_key(endpoint));
  if (!spec.endpoints.empty()) return {};
  std::set<std::string> asked = models_asked(spec);
  const bool any = models_of_all(spec).empty();
  asked.insert(spec.policy.fallback_model);
  for (const PoolSpec& pool : pools)
    for (const EndpointSpec& endpoint : pool.endpoints)
      if (any || asked.contains(pool.model)) GRISTMILL_TRY(check_key(endpoint));
  return {};
}

} // namespace gristmill::cli
