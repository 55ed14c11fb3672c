// TALLY: how often each name occurred, for names that come from outside. Invariant: at most
// tally_names_max names are kept; those that come later are counted together as "other".
#pragma once

#include "protocol/limits.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace gristmill::merger {

inline constexpr std::size_t tally_names_max = 64;

class Tally {
public:
  void add(std::string_view name) {
    name = name.substr(0, limits::name_bytes_max);
    auto found = counts_.find(name);
    if (found == counts_.end())
      found =
          counts_.try_emplace(counts_.size() < tally_names_max ? std::string{name} : "other").first;
    ++found->second;
  }
  const std::map<std::string, std::uint64_t, std::less<>>& counts() const { return counts_; }

private:
  std::map<std::string, std::uint64_t, std::less<>> counts_;
};

} // namespace gristmill::merger
