#include "protocol/text/member_finder.hpp"

namespace gristmill::json {

MemberFinder::MemberFinder(const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) places_.emplace(names[i], i);
}

std::vector<Value> MemberFinder::in(Value object) const {
  std::vector<Value> found(places_.size());
  Members members{object};
  while (const auto member = members.next()) {
    const bool plain = member->key.find('\\') == std::string_view::npos;
    const auto place = plain ? places_.find(member->key) : places_.find(decoded(member->key));
    if (place != places_.end()) found[place->second] = member->value;
  }
  return found;
}

} // namespace gristmill::json
