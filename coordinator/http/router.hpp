// ROUTER: the routes of the HTTP API, and which of them a request goes to. Plain.
//
//   pattern = "/" segment { "/" segment }        segment = text | "{" name "}"
//
// {name} stands for one whole segment that is not empty; what stood there goes to the route.
// Invariant: the table alone says what there is: a path that fits no pattern is not found, and one
// that is asked with another method is told those that it has.
#pragma once

#include "coordinator/http/server/task.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

// What stood in the path in place of each {name}, in the order of the pattern.
using Segments = std::vector<std::string>;

struct Route {
  std::string_view method, pattern;
  std::function<std::unique_ptr<HttpTask>(const HttpRequest& head, const Segments& segments)> open;
  std::string_view content_type = "application/json"; // of the body that it takes
  bool is_for_all = false; // asks for no token, and is answered when all places are taken
};

// Routes that belong together, with what they need: it must outlive them.
class Resource {
public:
  virtual ~Resource() = default;
  virtual std::vector<Route> routes() = 0;
};

class Router {
public:
  explicit Router(std::vector<Route> routes) : routes_{std::move(routes)} {}

  struct Found {
    const Route* route = nullptr; // the first that fits; nullptr = none of this method
    Segments segments;            // of the path, as it fits the route
    std::string allowed;          // the methods of this path; empty: there is no such path
  };
  Found find(std::string_view method, std::string_view path) const;

private:
  std::vector<Route> routes_;
};

// 404, or 405 with Allow: for a request that no route was found for.
HttpResponse no_route(const HttpRequest& head, const Router::Found& found);

} // namespace gristmill::coordinator
