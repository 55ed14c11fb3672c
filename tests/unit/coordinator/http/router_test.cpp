// Which route a request goes to, and what is said when there is none.
#include "coordinator/http/router.hpp"

#include <catch2/catch.hpp>

namespace router_test {

using namespace gristmill;
using namespace gristmill::coordinator;

namespace {

// Where a request goes: the pattern, and what stood in it; or the methods that the path has.
std::string way(const Router& router, std::string_view method, std::string_view path) {
  const Router::Found found = router.find(method, path);
  if (found.route == nullptr) return "allowed: " + found.allowed;
  std::string text{found.route->pattern};
  for (const std::string& segment : found.segments) text += " " + segment;
  return text;
}

Router some_routes() {
  return Router{{{"POST", "/jobs", {}},
                 {"GET", "/jobs", {}},
                 {"GET", "/jobs/{job}", {}},
                 {"DELETE", "/jobs/{job}", {}},
                 {"GET", "/jobs/{job}/items/{item}", {}},
                 {"GET", "/files/all", {}},
                 {"GET", "/files/{file}", {}}}};
}

HttpRequest request(std::string method, std::string path) {
  HttpRequest head;
  head.method = std::move(method);
  head.path = std::move(path);
  return head;
}

} // namespace

TEST_CASE("a request goes to the route of its method and path") {
  const Router router = some_routes();
  CHECK(way(router, "GET", "/jobs") == "/jobs");
  CHECK(way(router, "GET", "/jobs/job-7") == "/jobs/{job} job-7");
  CHECK(way(router, "GET", "/jobs/job-7/items/a b") == "/jobs/{job}/items/{item} job-7 a b");
  CHECK(router.find("DELETE", "/jobs/job-7").route->method == "DELETE");
}

TEST_CASE("a name stands for one whole segment, and not for an empty one") {
  const Router router = some_routes();
  for (const char* path : {"", "/", "jobs", "/job", "/jobsx", "/jobs/", "//jobs", "/jobs/job-7/",
                           "/jobs/job-7/items", "/jobs/job-7/items/", "/jobs//items/a",
                           "/jobs/job-7/items/a/b", "/jobs/{job}/x", "/JOBS"}) {
    INFO(path);
    CHECK(way(router, "GET", path) == "allowed: ");
  }
}

TEST_CASE("of two patterns that a path fits the first one of its method is taken") {
  const Router router = some_routes();
  CHECK(way(router, "GET", "/files/all") == "/files/all");
  CHECK(way(router, "GET", "/files/any") == "/files/{file} any");
  CHECK(way(Router{{{"PUT", "/a/b", {}}, {"GET", "/a/{x}", {}}}}, "GET", "/a/b") == "/a/{x} b");
}

TEST_CASE("a path that is asked with another method is told those that it has") {
  const Router router = some_routes();
  const auto refused = [&](const char* method, const char* path) {
    const HttpRequest head = request(method, path);
    return no_route(head, router.find(head.method, head.path));
  };
  CHECK(refused("PUT", "/jobs").status == 405);
  CHECK(
      refused("PUT", "/jobs").body ==
      R"({"error":{"code":"method_not_allowed","message":"expected POST, GET for /jobs, got PUT"}})");
  using Headers = std::vector<std::pair<std::string, std::string>>;
  CHECK(refused("PUT", "/jobs").headers == Headers{{"Allow", "POST, GET"}});
  CHECK(refused("PUT", "/jobs/job-7").headers == Headers{{"Allow", "GET, DELETE"}});
  CHECK(refused("GET", "/nothing").status == 404);
  CHECK(refused("GET", "/nothing").headers.empty());
  CHECK(refused("GET", "/\x1b[1m").body.find('\x1b') == std::string::npos);
}

TEST_CASE("without a route nothing is there") {
  CHECK(way(Router{{}}, "GET", "/") == "allowed: ");
}

} // namespace router_test
