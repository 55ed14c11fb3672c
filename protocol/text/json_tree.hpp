// JSON TREE: a document tree of text that others wrote. The one place where nlohmann meets foreign
// bytes: it parses any depth, but copies, compares and writes a tree by recursion, so that a deep
// one takes the whole stack. Invariant: a tree is at most limits::json_depth_max levels deep.
#pragma once

#include "protocol/result.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace gristmill::json {

// bad_input: no JSON (what json::check says), or a number that no double holds.
Result<nlohmann::ordered_json> tree(std::string_view text);

} // namespace gristmill::json
