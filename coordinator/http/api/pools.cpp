#include "coordinator/http/api/pools.hpp"

#include "coordinator/http/api/answer.hpp"
#include "coordinator/http/api/pool_json.hpp"

namespace gristmill::coordinator {
namespace {

HttpResponse show_pools(const wiring::Answer& answer) {
  Json pools = Json::array();
  for (const PoolView& pool : answer.pools) pools.push_back(json_of(pool));
  return json_response(200, {{"pools", std::move(pools)}});
}

} // namespace

std::vector<Route> PoolsResource::routes() {
  return {
      // -> {"pools": […]}
      {"GET", "/api/v1/pools",
       [this](const HttpRequest&, const Segments&) {
         return asking(ask_, wiring::ListPools{}, show_pools);
       }},
  };
}

} // namespace gristmill::coordinator
