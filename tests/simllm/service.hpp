// From a request to what is done about it: routes, and the way of a model call past the desk.
//
//   POST .../chat/completions, .../completions, .../embeddings, .../responses   a model call
//   GET  .../models                                                            the model list
//   GET  /metrics                                                              slots and line
//   GET  /stats, POST /control                                                 for the tests
//
// Each event loop has a service of its own, because reading JSON needs working memory; what they
// share is the desk. Invariant: the handling holds no view of the request's bytes.
#pragma once

#include "call.hpp"
#include "desk.hpp"
#include "http.hpp"
#include "options.hpp"
#include "reply.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::simllm {

struct Handling {
  Reply reply;
  std::uint64_t call = 0; // arrival number; 0: this was no model call
  CallSummary summary{};
  bool served = false; // the reply has to wait for a slot and its latency
  std::uint64_t latency_us = 0;
  std::vector<Ticket> started{}; // calls that may start because more slots were opened
};

class Service {
public:
  Service(Desk& desk, const Options& options);

  // The request's body must be followed by simdjson::SIMDJSON_PADDING readable bytes.
  Handling handle(const HttpRequest& request, std::uint64_t connection);

private:
  bool accepts_key(const HttpRequest& request) const;
  Handling call(Route route, const HttpRequest& request, std::uint64_t connection);
  Handling control(const HttpRequest& request);
  Reply models(const HttpRequest& request) const;

  Desk& desk_;
  AnswerShape shape_;
  std::vector<std::string> models_;
  std::string wanted_authorization_;
  CallReader reader_;
};

} // namespace gristmill::simllm
