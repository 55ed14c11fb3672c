// PRODUCT FILES: what jobs leave on a disk, known by its content, whatever it is called: results,
// summaries, the names of an array's rows, state directories. Who looks for documents leaves them
// alone, and who replaces a file wants to see such a mark first.
#pragma once

#include "actors/journal/byte_reader.hpp"

#include <string>
#include <string_view>

namespace gristmill::coordinator {

// By what a file holds at its beginning, unpacked.
bool begins_as_result(std::string_view head);
bool begins_as_summary(std::string_view head);
bool begins_as_row_names(std::string_view head);

// The first 64 KiB that a file holds, unpacked; nothing of one that cannot be read.
std::string head_of(const journal::ByteReader& file);

// One of these. Of most other files only the first bytes are read.
bool is_product(const journal::ByteReader& file);

bool is_state_directory(const std::string& path);

} // namespace gristmill::coordinator
