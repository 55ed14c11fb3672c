// What the tests of the HTTP server share: one over real sockets, and what it may serve.
#pragma once

#include "coordinator/http/server/server.hpp"
#include "tests/unit/coordinator/http/server/raw_http.hpp"

#include <catch2/catch.hpp>
#include <thread>

namespace gristmill::http_server_test {

using namespace gristmill::coordinator;
using test::RawHttp;

inline HttpResponse text_response(std::string text) {
  HttpResponse response;
  response.body = std::move(text);
  return response;
}

// Says what it saw of a request.
inline std::unique_ptr<HttpTask> echo(const HttpRequest& head) {
  std::string seen = head.method + " " + head.path;
  for (const auto& [name, value] : head.query) seen += " " + name + "=" + value;
  if (const auto* auth = head.headers.find("authorization")) seen += " auth:" + *auth;
  return gathered(1'000, [seen](const std::string& body, const Respond& respond) {
    respond(text_response(seen + (body.empty() ? "" : " body:" + body)));
  });
}

inline std::unique_ptr<HttpServer> serve(decltype(HttpServerOptions::open_task) open_task,
                                         HttpServerOptions options = {}) {
  options.listen = "127.0.0.1:0";
  options.open_task = std::move(open_task);
  auto server = HttpServer::open(std::move(options));
  REQUIRE(server.has_value());
  return std::move(*server);
}

// A server whose connections have little time and few places.
inline HttpServerOptions hurried() {
  HttpServerOptions options;
  options.look_every = std::chrono::milliseconds{5};
  options.places.connections_max = 2;
  options.places.reserved = 1;
  options.is_always_answered = [](const HttpRequest& head) { return head.path == "/healthz"; };
  return options;
}

template <class Condition> void wait_until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

} // namespace gristmill::http_server_test
