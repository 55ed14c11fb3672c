// PLACES: certain places of a document, all found in one walk: a long text in the midst of a line
// is passed once, and not again at each level above it. Invariant: what is found is a view into the
// document; of equal members the last one counts.
#pragma once

#include "protocol/text/json_text.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace gristmill::cli::flat {

class Places {
public:
  // Names of members with dots between them; 0 is the first element of an array:
  // "body.choices.0.text".
  explicit Places(std::span<const std::string_view> paths);

  // Into `found`, which has a value for each path, nothing where the document has none.
  void find(std::string_view document, std::span<json::Value> found) const;

private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  struct Node {
    std::string_view name;
    std::size_t path = none; // which ends here
    std::vector<Node> children;

    const Node* child(std::string_view key) const;
  };
  struct Walk;

  Node root_;
};

} // namespace gristmill::cli::flat
