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

struct LookUp {
  PartId part;
  RequestKey key;
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

} // namespace gristmill
