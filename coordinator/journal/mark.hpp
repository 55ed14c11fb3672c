// JOURNAL MARK: whether a file is a journal of ours, by its bytes alone: SQLite, which would change
// files beside it, is not asked. Whoever locks, restricts or removes a journal wants to know first,
// and what of the files beside it are its lines.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

inline constexpr std::uint32_t journal_application_id = 0x476d696c; // "Gmil"

// Also of one that a start which died early has left empty. An error: it cannot be read.
Result<bool> is_journal(const std::string& path);

// An empty lock, or one that holds the number of a process.
Result<bool> is_lock(const std::string& path);

// Of results or of parts.
bool is_segment_name(std::string_view name);

// Whether a segment in this directory has these bytes.
Result<bool> segments_hold(const std::string& directory, std::string_view bytes);

} // namespace gristmill::coordinator
