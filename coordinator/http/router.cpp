#include "coordinator/http/router.hpp"

#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <optional>

namespace gristmill::coordinator {
namespace {

// The first segment, and the rest behind its slash; no rest: it was the last one.
struct First {
  std::string_view segment;
  std::optional<std::string_view> rest;
};
First first_of(std::string_view path) {
  const auto slash = path.find('/');
  if (slash == path.npos) return {path, std::nullopt};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// What stands in the path in place of the pattern's names; nothing: it does not fit.
std::optional<Segments> fitted(std::string_view pattern, std::string_view path) {
  Segments segments;
  while (true) {
    const First wanted = first_of(pattern), given = first_of(path);
    const bool is_name = wanted.segment.starts_with('{');
    if (is_name ? given.segment.empty() : given.segment != wanted.segment) return std::nullopt;
    if (is_name) segments.emplace_back(given.segment);
    if (wanted.rest.has_value() != given.rest.has_value()) return std::nullopt;
    if (!wanted.rest) return segments;
    pattern = *wanted.rest;
    path = *given.rest;
  }
}

} // namespace

Router::Found Router::find(std::string_view method, std::string_view path) const {
  Found found;
  for (const Route& route : routes_) {
    auto segments = fitted(route.pattern, path);
    if (!segments) continue;
    found.allowed += fmt::format("{}{}", found.allowed.empty() ? "" : ", ", route.method);
    if (route.method != method || found.route != nullptr) continue;
    found.route = &route;
    found.segments = std::move(*segments);
  }
  return found;
}

HttpResponse no_route(const HttpRequest& head, const Router::Found& found) {
  const std::string shown = json::printable(head.path, 200);
  if (found.allowed.empty())
    return http_error(404, "not_found", fmt::format("there is no {} here", shown));
  HttpResponse refusal = http_error(405, "method_not_allowed",
                                    fmt::format("expected {} for {}, got {}", found.allowed, shown,
                                                json::printable(head.method, 20)));
  refusal.headers.emplace_back("Allow", found.allowed);
  return refusal;
}

} // namespace gristmill::coordinator
