// A table for people: columns as wide as they need to be, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace gristmill::cli {

// The first row is the head; all rows are of its length.
std::string table(const std::vector<std::vector<std::string>>& rows);

} // namespace gristmill::cli
