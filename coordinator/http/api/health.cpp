#include "coordinator/http/api/health.hpp"

#include "coordinator/http/api/answer.hpp"

namespace gristmill::coordinator {

std::vector<Route> HealthResource::routes() {
  return {
      {.method = "GET",
       .pattern = "/healthz",
       .open =
           [](const HttpRequest&, const Segments&) {
             return answered(json_response(200, {{"status", "ok"}}));
           },
       .is_for_all = true},
      // Ready is who answers: the question goes through the node.
      {.method = "GET",
       .pattern = "/readyz",
       .open =
           [this](const HttpRequest&, const Segments&) {
             return asking(ask_, wiring::ShowReady{}, [](const wiring::Answer&) {
               return json_response(200, {{"status", "ready"}});
             });
           },
       .is_for_all = true},
  };
}

} // namespace gristmill::coordinator
