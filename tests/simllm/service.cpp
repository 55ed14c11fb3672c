#include "service.hpp"

#include "answer.hpp"
#include "control.hpp"
#include "poller.hpp"

#include <ctime>
#include <stdexcept>

namespace gristmill::simllm {
namespace {

std::uint64_t unix_time_s() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

} // namespace

Service::Service(Desk& desk, const Options& options)
    : desk_(desk), shape_(options.shape), models_(options.models),
      wanted_authorization_(options.api_key.empty() ? "" : "Bearer " + options.api_key) {}

Handling Service::handle(const HttpRequest& request, std::uint64_t connection) {
  if (request.method == "POST") {
    if (const auto route = route_of(request.path)) return call(*route, request, connection);
    if (request.path == "/control") return control(request);
  } else if (request.method == "GET") {
    if (request.path == "/stats") {
      return {.reply = plain_reply(200, desk_.stats_json(), request.keep_alive)};
    }
    if (request.path == "/metrics") {
      return {.reply = text_reply(200, desk_.metrics(models_.front()), request.keep_alive)};
    }
    if (request.path.ends_with("/models")) return {.reply = models(request)};
  }
  return {.reply = error_reply(404, "there is no such route", request.keep_alive)};
}

bool Service::accepts_key(const HttpRequest& request) const {
  return wanted_authorization_.empty() || request.authorization == wanted_authorization_;
}

Handling Service::call(Route route, const HttpRequest& request, std::uint64_t connection) {
  const Call& call = reader_.read(route, request.body);
  const Arrival arrival{.call = call,
                        .path = request.path,
                        .attempt = request.request_id,
                        .body = request.body,
                        .key_accepted = accepts_key(request),
                        .connection = connection,
                        .completion_tokens = completion_tokens(call, shape_)};
  const Verdict verdict =
      desk_.admit(arrival, {.boot_ns = boot_time_ns(), .unix_s = unix_time_s()});
  return {.reply = call_reply(call, verdict, shape_, request.keep_alive),
          .call = verdict.arrival,
          .summary = verdict.summary,
          .served = verdict.served,
          .latency_us = verdict.latency_us};
}

Handling Service::control(const HttpRequest& request) {
  try {
    auto started = desk_.change(parse_change(request.body));
    return {.reply = plain_reply(200, "{\"ok\":true}", request.keep_alive),
            .started = std::move(started)};
  } catch (const std::invalid_argument& refusal) {
    return {.reply = error_reply(400, refusal.what(), request.keep_alive)};
  }
}

Reply Service::models(const HttpRequest& request) const {
  if (!accepts_key(request)) return refused_key_reply(request.keep_alive);
  std::string body;
  append_models(body, models_);
  return plain_reply(200, body, request.keep_alive);
}

} // namespace gristmill::simllm
