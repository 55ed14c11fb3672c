// What SUPERVISOR and JOINER say to each other about requests that may have been answered before.
// Plain data.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/line/known_answer.hpp"
#include "protocol/request_key.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill {

// What a part asks for.
struct AskedRequest {
  RequestKey key{};        // among the requests of its job; none = nobody wants to know
  bool for_others = false; // it says all that its answer follows from, so that may serve other jobs
  explicit operator bool() const { return static_cast<bool>(key); }
};

struct LookUp {
  PartId part;
  AskedRequest request;
  // What its call would carry, so that it need not be read again; empty = it would.
  ItemKind kind = ItemKind::batch_line;
  std::string raw = {};
};

struct LookedUp {
  LookUp asked;
  std::optional<KnownAnswer> answer; // none = it has to be called
};

// Answers of about a slice of bytes; for the rest is to be asked again.
struct LookedUpAnswers {
  std::vector<LookedUp> found;
  std::vector<LookUp> rest;
};

// For other jobs, by the key of their scope.
struct KeptAnswer {
  RequestKey key;
  KnownAnswer answer;
};

} // namespace gristmill
