// SIZES: how many entries the lists of a room have, by name, for whoever looks whether they grow
// for ever. Invariant: a list that lives as long as its node is in it.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace gristmill {

using Sizes = std::map<std::string, std::size_t>;

} // namespace gristmill
