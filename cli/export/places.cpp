#include "cli/export/places.hpp"

#include <algorithm>

namespace gristmill::cli::flat {

using json::after_space;
using json::after_value;

// One through a document. Text that is no JSON ends it early, wherever it is.
struct Places::Walk {
  std::string_view text;
  std::span<json::Value> found;

  // Behind what begins at `at`.
  std::size_t value(std::size_t at, const Node& node) {
    const std::size_t from = at;
    forget(node); // of an equal member before
    const char first = at < text.size() ? text[at] : '\0';
    if (!node.children.empty() && first == '{')
      at = object(at + 1, node);
    else if (!node.children.empty() && first == '[')
      at = array(at + 1, node);
    else
      at = after_value(text, at);
    if (node.path != none) found[node.path] = {text.substr(from, at - from)};
    return at;
  }

private:
  void forget(const Node& node) {
    if (node.path != none) found[node.path] = {};
    for (const Node& child : node.children) forget(child);
  }

  bool is(std::size_t at, char c) const { return at < text.size() && text[at] == c; }

  std::size_t object(std::size_t at, const Node& node) {
    for (at = after_space(text, at); is(at, '"'); at = next(at)) {
      const std::size_t key = at + 1;
      at = after_value(text, at);
      const Node* child = node.child(text.substr(key, std::max(at, key + 1) - key - 1));
      at = after_space(text, at);
      if (!is(at, ':')) return text.size();
      at = after_space(text, at + 1);
      at = child ? value(at, *child) : after_value(text, at);
    }
    return std::min(at + 1, text.size());
  }

  std::size_t array(std::size_t at, const Node& node) {
    const Node* child = node.child("0");
    for (at = after_space(text, at); at < text.size() && !is(at, ']'); at = next(at)) {
      const std::size_t from = at;
      at = child ? value(at, *child) : after_value(text, at);
      if (at == from) return text.size();
      child = nullptr;
    }
    return std::min(at + 1, text.size());
  }

  // The next member or element, or the end of all.
  std::size_t next(std::size_t at) const {
    at = after_space(text, at);
    return is(at, ',') ? after_space(text, at + 1) : at;
  }
};

const Places::Node* Places::Node::child(std::string_view key) const {
  for (const Node& one : children)
    if (json::same_key(one.name, key)) return &one;
  return nullptr;
}

Places::Places(std::span<const std::string_view> paths) {
  for (std::size_t n = 0; n < paths.size(); ++n) {
    Node* node = &root_;
    for (std::string_view rest = paths[n]; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      auto at = std::ranges::find(node->children, name, &Node::name);
      if (at == node->children.end()) at = node->children.insert(at, Node{name, none, {}});
      node = &*at;
    }
    node->path = n;
  }
}

void Places::find(std::string_view document, std::span<json::Value> found) const {
  Walk{document, found}.value(after_space(document, 0), root_);
}

} // namespace gristmill::cli::flat
